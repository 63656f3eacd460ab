"""Recipe ``paper``: the published VGG16 as its report describes it, on the tiles at hand."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cervix.bundle.manifest import EvaluationTable
from cervix.evaluation.comparison import decimal, percent
from cervix.evaluation.metrics import binary_report
from training.data.splits import SPLITS, check_groups
from training.data.tissue.sources import SourceTiles, tiles_of_recipe
from training.data.tissue.tiles import TileFolderError
from training.shared.manifest_parts import write_table
from training.shared.stages import Arrays, Log, Stages, array_digest
from training.slide.activations import cached_activations
from training.slide.checks.baselines import baseline_scores
from training.slide.fit import in_batches
from training.slide.vgg16 import backbone, fast_precision, last_block, paper_fine_tuned, paper_top, pooled

REPRODUCTION = EvaluationTable(
    id="reproduction",
    title="The published recipe, reproduced",
    file="paper/reproduction.csv",
    note=(
        "SCC versus AC, threshold 0.5, 216 / 24 / 60 tiles per class as published, here of lung, oral cavity, colon, rectum, "
        "endometrium and breast, drawn evenly over laboratories and split by source group. Most laboratories have one of the "
        "classes alone, so that what tells laboratories apart tells classes apart too: the row of the laboratory with both is "
        "the fairer one. Brackets are 95 % bootstrap intervals over source groups. The baselines were fitted on the same "
        "training tiles. Recorded only: the network is too large to ship."
    ),
)
PUBLISHED_SOURCE = "Published, TCGA cervical tiles (Table 3); data and code not available"
METRICS = ("accuracy", "precision", "recall", "f1")
FURTHER_METRICS = ("auroc", "average_precision", "brier", "ece")
Floats = NDArray[np.float32]


def train_paper(recipe_path: Path, tiles_dir: Path, weights: Path | None, out_dir: Path, log: Log) -> pd.DataFrame:
    """Run both published stages and write the table of figures under ``out_dir``: one row a source of figures.

    Stage 1 trains the dense part on stored (7, 7, 512) features of the last block; stage 2 goes on with block 5
    and the dense part, the first four blocks frozen. Both stop after the stated number of epochs: the report names no
    early stopping. Positive is squamous-cell carcinoma; the threshold is 0.5.

    Raises
    ------
    TileFolderError, WeightsMissing, LeakError
        If data or weights are not there or not fit.
    """
    recipe = tomllib.loads(recipe_path.read_text(encoding="utf-8"))
    stages = Stages(out_dir / "stages", log)
    network = backbone(weights, fast_precision())
    every, split_of_every = tiles_of_recipe(recipe_path, recipe, tiles_dir)
    log(f"{len(every.tiles.labels)} tiles, {len(every.tiles.skipped)} skipped")
    chosen, assigned = choose_tiles(every, split_of_every, recipe)
    tiles = chosen.tiles
    train, validation, test = (np.flatnonzero(assigned == split) for split in SPLITS)
    block4 = cached_activations(network, tiles, {"copies": 0}, stages, log).clean
    data = {"pixels": array_digest(tiles.pixels), "assigned": assigned.tolist()}
    target = (tiles.labels == "scc").astype(np.float32)

    keras.utils.set_random_seed(recipe["seed"])
    block5 = last_block(network, fast_precision())
    pool = keras.Model(block5.input, keras.layers.MaxPooling2D()(block5.output))
    stored = stages.arrays("paper-features", data, lambda: {"block5": in_batches(pool, block4)})["block5"]
    top = paper_top(tuple(recipe["network"]["dense"]), recipe["network"]["dropout"])
    settings = {key: recipe[key] for key in ("seed", "network", "train")}
    answers: dict[str, Floats] = {}
    for name, model, x in (
        ("Stage 1: dense part on stored features", top, stored),
        ("Stage 2: block 5 and dense part fine-tuned", paper_fine_tuned(block5, top), block4),
    ):
        log(f"{name}: {sum(int(np.prod(w.shape)) for w in model.trainable_weights):,} weights")
        stage = f"paper-stage{len(answers) + 1}"
        finished = stages.arrays(
            stage,
            {**data, **settings},
            lambda model=model, x=x: _train(model, x, target, train, validation, recipe["train"], log),  # type: ignore[misc]
        )
        model.set_weights([finished[f"w{index}"] for index in range(len(model.weights))])
        answers[name] = _sigmoid(in_batches(model, x[test]))[:, 0]

    embeddings = in_batches(pooled(last_block(network, fast_precision())), block4)
    rivals = baseline_scores(tiles.pixels, embeddings, tiles.labels, train, test, ["scc", "ac"])
    table = reproduction_table(recipe, chosen.of(test), answers, rivals)
    write_table(out_dir / REPRODUCTION.file, table)
    log(table.to_string(index=False))
    return table


def choose_tiles(
    every: SourceTiles, split_of_every: NDArray[np.str_], recipe: Mapping[str, Any]
) -> tuple[SourceTiles, NDArray[np.str_]]:
    """The published number of tiles per class and split, in turn from the laboratories, and within one from its source groups.

    Parameters
    ----------
    split_of_every : (n,) split of each tile; whole source groups are in one

    Returns
    -------
    chosen, assigned
        The tiles, and the split of each.

    Raises
    ------
    TileFolderError
        If a split has fewer tiles of a class than the recipe asks for.
    """
    rng = np.random.default_rng(recipe["seed"])
    frame = pd.DataFrame({"laboratory": every.laboratory, "group": every.tiles.groups})
    chosen, splits = [], []
    for split, wanted in recipe["data"]["tiles_per_class"].items():
        for label in recipe["data"]["classes"]:
            members = rng.permutation(np.flatnonzero((split_of_every == split) & (every.tiles.labels == label)))
            if len(members) < wanted:
                raise TileFolderError(
                    f"Too few {label} tiles for the {split} split", expected=str(wanted), found=str(len(members))
                )
            turns = frame.loc[members]
            for unit in ("group", "laboratory"):
                turns = turns.iloc[np.argsort(turns.groupby(unit).cumcount(), kind="stable")]
            chosen.append(turns.index[:wanted])
            splits += [split] * wanted
    found, assigned = every.of(np.concatenate(chosen)), np.array(splits)
    check_groups(found.tiles.labels, assigned, found.tiles.groups)
    return found, assigned


def _train(
    model: keras.Model,
    x: NDArray[np.floating],
    target: Floats,
    train: NDArray[np.integer],
    validation: NDArray[np.integer],
    settings: Mapping[str, Any],
    log: Log,
) -> Arrays:
    model.compile(
        keras.optimizers.SGD(settings["learning_rate"], momentum=settings["momentum"]),
        keras.losses.BinaryCrossentropy(from_logits=True),
        jit_compile=fast_precision() == "float32",
    )
    rng = np.random.default_rng(0)
    size = settings["batch_size"]
    for epoch in range(settings["epochs"]):
        order = rng.permutation(train)
        losses = [
            float(model.train_on_batch(x[batch].astype(np.float32), target[batch, None]))
            for batch in (order[start : start + size] for start in range(0, len(order) - size + 1, size))
        ]
        if epoch % 5 == 4 or epoch == 0:
            score = _sigmoid(in_batches(model, x[validation]))[:, 0]
            right = float(((score >= 0.5) == (target[validation] > 0)).mean())
            log(f"epoch {epoch + 1}/{settings['epochs']}: training loss {np.mean(losses):.4f}, validation accuracy {right:.3f}")
    return {f"w{index}": value for index, value in enumerate(model.get_weights())}


def reproduction_table(
    recipe: Mapping[str, Any], test: SourceTiles, answers: Mapping[str, Floats], rivals: Mapping[str, NDArray[np.float64]]
) -> pd.DataFrame:
    """Figures with 95 % bootstrap intervals over source groups, beside the published ones and the baselines.

    The last answers stand once more for each laboratory that has both classes.
    """
    rows = [{"source": PUBLISHED_SOURCE} | {name: f"{recipe['published'][name] * 100:.4g} %" for name in METRICS}]
    sources: dict[str, NDArray[np.floating]] = {f"This reproduction. {name}": score for name, score in answers.items()}
    every = np.ones(len(test.laboratory), bool)
    rows += [_row(source, test, score, every) for source, score in sources.items()]
    source, score = list(sources.items())[-1]
    for name in np.unique(test.laboratory):
        here = test.laboratory == name
        if len(np.unique(test.tiles.labels[here])) == len(recipe["data"]["classes"]):
            rows.append(_row(f"{source}; {name} alone", test, score, here))
    rows += [_row(recipe["baselines"][name], test, score[:, 0], every) for name, score in rivals.items()]
    return pd.DataFrame(rows).fillna("–")


def _row(source: str, test: SourceTiles, score: NDArray[np.floating], here: NDArray[np.bool_]) -> dict[str, str]:
    """Figures of one source of scores on some of the test tiles."""
    report = binary_report(test.tiles.labels[here] == "scc", np.asarray(score[here], np.float64), test.tiles.groups[here], 0.5)
    figures = {
        name: (percent if name in METRICS else decimal)(report.bootstrap[name])
        for name in METRICS + FURTHER_METRICS
        if name in report.bootstrap
    }
    return {"source": source, **figures, "n": f"{report.n} tiles, {report.groups} source groups"}


def _sigmoid(logits: Floats) -> Floats:
    return np.asarray(1.0 / (1.0 + np.exp(-logits)), np.float32)
