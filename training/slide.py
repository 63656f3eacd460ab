"""The slide model: real tiles -> frozen VGG16 -> head -> one ONNX graph in two variants."""

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cervix.bundle.manifest import (
    Abstention,
    Baseline,
    Calibration,
    DerivedTask,
    Evaluation,
    Model,
    PublishedFigure,
    SlideRule,
    TensorSpec,
    Threshold,
    TileInput,
    TrainingData,
    Variant,
    VariantDifference,
)
from cervix.bundle.sessions import Arrays
from cervix.errors import CervixError
from cervix.evaluation.metrics import wilson_interval
from cervix.slides.phantom import phantom_region
from training.data.splits import grouped_split
from training.data.tiles import TileSet, colour_statistics, load_tile_folder
from training.export import fit_correction, head_probabilities, run_onnx, slide_function, to_onnx
from training.fit import Floats, Log, SlideParameters, fit_slide_model, pooled_features
from training.manifest_parts import (
    counts_by_split,
    groups_by_split,
    write_bytes,
    write_golden,
    write_predictions,
)
from training.models.vgg16 import backbone
from training.quantise import to_fp16, to_int8

GOLDEN_TILES = 4
# Golden tolerances allow for another processor's kernels, not for another model.
GOLDEN_TOLERANCE: dict[str, dict[str, float]] = {
    "int8": {"probabilities": 0.02, "embedding": 0.5, "novelty": 1.0, "cam": 0.5},
    "fp16": {"probabilities": 0.02, "embedding": 0.5, "novelty": 1.0, "cam": 0.5},
}
PAPER = "Published VGG16, TCGA cervical tiles, SCC versus AC (its Table 3); data and code not available"


class VariantRefused(CervixError, ValueError):
    """Raised when a smaller variant differs too much from the reference to be shipped."""


def train_slide_model(recipe_path: Path, tiles_dir: Path, weights: Path | None, out_dir: Path, log: Log) -> Model:
    """Run a slide recipe and write ``slide/`` under ``out_dir``. Returns its manifest entry.

    Raises
    ------
    TileFolderError, WeightsMissing
        If the data or the ImageNet weights are not there.
    VariantRefused
        If a variant agrees with fp32 on fewer test tiles than the recipe asks for.
    """
    recipe = tomllib.loads(recipe_path.read_text(encoding="utf-8"))
    tiles = load_tile_folder(tiles_dir, recipe["data"]["classes"], recipe["tiles"]["size_px"])
    log(f"{len(tiles.labels)} tiles, {len(tiles.skipped)} skipped")
    network = backbone(weights)
    features = pooled_features(network, tiles.pixels, log)
    assigned = grouped_split(tiles.labels, tiles.groups, tenths=tuple(recipe["data"]["tenths"]), seed=recipe["seed"])
    parameters = fit_slide_model(network, features, tiles.labels, assigned, recipe, log)
    reference = to_onnx(slide_function(parameters), _inputs(), _outputs(parameters.classes))
    validation, test = assigned == "validation", assigned == "test"

    exported = {
        "fp16": to_fp16(reference),
        "int8": quantised_slide_model(parameters, tiles.pixels, features, np.flatnonzero(assigned == "train"), recipe),
    }
    reference_test = run_onnx(reference.SerializeToString(), tiles.pixels[test], ["probabilities"])["probabilities"]
    golden = golden_tiles(recipe["tiles"]["size_px"])
    golden_outputs: dict[str, Arrays] = {}
    variants, answers = [], {}
    for precision, onnx_bytes in exported.items():
        answers[precision] = run_onnx(onnx_bytes, tiles.pixels[test], ["probabilities", "novelty"])
        difference = compare(reference_test, answers[precision]["probabilities"])
        log(f"{precision}: {difference.model_dump_json()}")
        if difference.agreement < recipe["quantise"]["agreement_at_least"]:
            raise VariantRefused(
                f"The {precision} variant is not the model it should be",
                expected=f"agreement with fp32 of at least {recipe['quantise']['agreement_at_least']:.1%}",
                found=f"{difference.agreement:.2%} of {difference.n} test tiles",
            )
        file = f"slide/{precision}.onnx"
        write_bytes(out_dir / file, onnx_bytes)
        names = [spec.name for spec in _outputs(parameters.classes)]
        golden_outputs[precision] = dict(run_onnx(onnx_bytes, golden, names))
        variants.append(
            Variant.model_validate(
                {
                    "precision": precision,
                    "file": file,
                    "runs_on": "cuda" if precision == "fp16" else "cpu",
                    "tolerance": GOLDEN_TOLERANCE[precision],
                    "difference": difference,
                }
            )
        )
    write_golden(out_dir / "slide/golden.npz", {"tiles": golden}, golden_outputs)

    predictions = pd.DataFrame({"case": tiles.paths[test], "group": tiles.groups[test], "label": tiles.labels[test]})
    _add_probabilities(predictions, "p_", parameters.classes, answers["int8"]["probabilities"])
    predictions["novelty"] = answers["int8"]["novelty"]
    for name, scores in baseline_scores(tiles, features, assigned, parameters.classes).items():
        _add_probabilities(predictions, f"{name}__p_", parameters.classes, scores)
    write_predictions(out_dir / "slide/predictions.parquet", predictions)

    novelty_limit = float(np.quantile(novelty_of(parameters, features[validation]), recipe["novelty"]["accepted_share"]))
    accepted = float((answers["int8"]["novelty"] <= novelty_limit).mean())
    log(f"novelty limit {novelty_limit:.2f}, accepts {accepted:.1%} of test tiles")
    return _manifest_entry(
        recipe, tiles, assigned, parameters, variants, novelty_limit,
        slide_rule=_slide_rule(recipe, parameters, features[validation], tiles, validation),
        notes=[
            f"The novelty limit accepts {accepted:.1%} of the {int(test.sum())} test tiles (int8).",
            "Tiles of one source image are rotated or flipped copies; intervals count source images, not tiles.",
        ],
        opset=_opset(reference),
    )  # fmt: skip


def quantised_slide_model(
    parameters: SlideParameters,
    pixels: NDArray[np.uint8],
    features: Floats,
    train: NDArray[np.integer],
    recipe: dict[str, Any],
) -> bytes:
    """The int8 variant, quantised once to measure its feature error and once more with that error corrected."""
    rng = np.random.default_rng(recipe["seed"])
    calibration = pixels[rng.choice(train, recipe["quantise"]["calibration_tiles"], replace=False)]
    matched = rng.choice(train, recipe["quantise"]["correction_tiles"], replace=False)
    inputs, outputs = _inputs(), _outputs(parameters.classes)
    first = to_int8(to_onnx(slide_function(parameters), inputs, outputs), calibration)
    correction = fit_correction(run_onnx(first, pixels[matched], ["embedding"])["embedding"], features[matched])
    return to_int8(to_onnx(slide_function(parameters, correction), inputs, outputs), calibration)


def golden_tiles(size_px: int) -> NDArray[np.uint8]:
    """Generated tiles, nobody's tissue: ``(GOLDEN_TILES, size, size, 3)`` uint8."""
    return np.stack([phantom_region(size_px, size_px, seed=seed, tissue_share=0.9) for seed in range(GOLDEN_TILES)])


def compare(reference: NDArray[np.floating], variant: NDArray[np.floating]) -> VariantDifference:
    """How far a variant's test probabilities ``(n, classes)`` are from the reference's."""
    gap = np.abs(reference - variant)
    return VariantDifference(
        computed_on="test split",
        n=len(reference),
        largest_probability=float(gap.max()),
        mean_probability=float(gap.mean()),
        agreement=float((reference.argmax(axis=1) == variant.argmax(axis=1)).mean()),
    )


def novelty_of(parameters: SlideParameters, features: Floats) -> NDArray[np.float64]:
    """The graph's novelty output from pooled features, in numpy."""
    whitened = features @ parameters.whitening
    distances = np.linalg.norm(whitened[:, None] - parameters.whitened_centres[None], axis=2)
    return np.asarray(distances.min(axis=1), np.float64)


def baseline_scores(
    tiles: TileSet, features: Floats, assigned: NDArray[np.str_], classes: list[str]
) -> dict[str, NDArray[np.float64]]:
    """Test probabilities ``(n_test, classes)`` of rivals that a good model must beat, fitted on train."""
    train, test = assigned == "train", assigned == "test"
    share = np.array([(tiles.labels[train] == label).mean() for label in classes])
    scores = {"majority": np.tile(share, (int(test.sum()), 1))}
    for name, x in (("colour", colour_statistics(tiles.pixels)), ("logistic", features)):
        rival = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000)).fit(x[train], tiles.labels[train])
        order = [list(rival.classes_).index(label) for label in classes]
        scores[name] = rival.predict_proba(x[test])[:, order]
    return scores


def _slide_rule(
    recipe: dict[str, Any],
    parameters: SlideParameters,
    features: Floats,
    tiles: TileSet,
    validation: NDArray[np.bool_],
) -> SlideRule:
    benign = tiles.labels[validation] == "benign"
    cancer_mass = 1.0 - head_probabilities(parameters, features)[:, parameters.classes.index("benign")]
    called = set(tiles.groups[validation][benign & (cancer_mass >= 0.5)])
    groups = set(tiles.groups[validation][benign])
    limit = wilson_interval(len(called), len(groups)).high
    return SlideRule(
        minimum_tiles=recipe["slide_rule"]["minimum_tiles"],
        false_positive_share=limit,
        novel_share_limit=recipe["slide_rule"]["novel_share_limit"],
        chosen_by=(
            f"False-positive share: upper 95 % Wilson limit for {len(called)} of {len(groups)} benign validation source "
            "images with a tile called cancerous. Minimum tiles and novel share: set by judgement. No whole slides "
            "with a known diagnosis were at hand, so the rule is untested on slides."
        ),
    )


def _add_probabilities(frame: pd.DataFrame, prefix: str, classes: list[str], scores: NDArray[np.generic]) -> None:
    for index, label in enumerate(classes):
        frame[prefix + label] = scores[:, index]


def _opset(model: onnx.ModelProto) -> int:
    return next(int(entry.version) for entry in model.opset_import if entry.domain in ("", "ai.onnx"))


def _inputs() -> list[TensorSpec]:
    return [
        TensorSpec(
            name="tiles",
            dtype="uint8",
            shape=["N", 224, 224, 3],
            unit="8-bit RGB",
            meaning="H&E tiles, height × width × RGB",
        )
    ]


def _outputs(classes: list[str]) -> list[TensorSpec]:
    count = len(classes)
    return [
        TensorSpec(
            name="probabilities", dtype="float32", shape=["N", count], unit="probability", activation="softmax",
            meaning="Calibrated class probabilities, in the order of the classes",
        ),
        TensorSpec(
            name="embedding", dtype="float32", shape=["N", 512], unit="activation",
            meaning="Global average of the last convolution block",
        ),
        TensorSpec(
            name="novelty", dtype="float32", shape=["N"], unit="Mahalanobis distance",
            meaning="Distance of the embedding to the nearest training class centre",
        ),
        TensorSpec(
            name="cam", dtype="float32", shape=["N", count, 14, 14], unit="logit", activation="relu",
            meaning="Grad-CAM of each class on block5_conv3",
        ),
    ]  # fmt: skip


def _manifest_entry(
    recipe: dict[str, Any], tiles: TileSet, assigned: NDArray[np.str_], parameters: SlideParameters,
    variants: list[Variant], novelty_limit: float, *, slide_rule: SlideRule, notes: list[str], opset: int,
) -> Model:  # fmt: skip
    equal_cost = "0.5 of a calibrated probability: both errors cost the same; nothing was fitted"
    return Model(
        id="slide",
        title="Slide model: carcinoma type on H&E tiles",
        task="Classify a 224 px H&E tile as benign, squamous-cell carcinoma or adenocarcinoma",
        outcome="Morphological class of the tile's source image, as its donors labelled it",
        architecture=f"VGG16 (ImageNet, frozen) → global average → dense {recipe['head']['hidden']} → 3; ONNX opset {opset}",
        recipe=recipe["name"],
        seed=recipe["seed"],
        variants=variants,
        inputs=_inputs(),
        outputs=_outputs(parameters.classes),
        classes=parameters.classes,
        derived_tasks=[
            DerivedTask(id="cancerous", title="Cancerous or benign", positive=["scc", "ac"], negative=["benign"]),
            DerivedTask(id="scc-versus-ac", title="Squamous-cell or adenocarcinoma", positive=["scc"], negative=["ac"]),
        ],
        tiles=TileInput(
            size_px=recipe["tiles"]["size_px"],
            spacing_um_px=recipe["tiles"]["spacing_um_px"],
            spacing_source=recipe["tiles"]["spacing_source"],
            steps_in_graph=[
                "uint8 RGB to float32",
                "RGB to BGR",
                "minus the ImageNet channel means (103.939, 116.779, 123.68)",
            ],
        ),
        calibration=Calibration(
            method="temperature",
            parameters={"temperature": parameters.temperature},
            fitted_on=f"validation split, {int((assigned == 'validation').sum())} tiles",
        ),
        thresholds=[
            Threshold(task="cancerous", value=0.5, chosen_by=equal_cost),
            Threshold(task="scc-versus-ac", value=0.5, chosen_by=equal_cost),
        ],
        abstention=[
            Abstention(
                output="novelty",
                limit=novelty_limit,
                chosen_by=f"accepts {recipe['novelty']['accepted_share']:.0%} of the validation tiles",
            )
        ],
        slide_rule=slide_rule,
        training_data=[
            TrainingData(
                name="LC25000, lung part",
                licence="CC BY 4.0",
                citation="Borkowski et al. 2019, LC25000, arXiv:1912.12142; source groups by Batch et al.",
                nature="real",
                note="Lung tissue, not cervix: a stand-in for benign, squamous-cell carcinoma and adenocarcinoma.",
                grouped_by="source image",
                counts=counts_by_split(tiles.labels, assigned),
                groups=groups_by_split(tiles.groups, assigned),
            ),
            TrainingData(
                name="ImageNet weights of VGG16",
                licence="CC BY 4.0",
                citation="Simonyan & Zisserman 2015, arXiv:1409.1556; Russakovsky et al. 2015, ImageNet",
                nature="real",
                note="Weights only, as Keras distributes them; frozen.",
                grouped_by="not applicable",
                counts={},
                groups={},
            ),
        ],
        evaluation=Evaluation(
            predictions="slide/predictions.parquet",
            precision="int8",
            split="test split, source images never seen in training",
            baselines=[
                Baseline(id="majority", title="Class shares only"),
                Baseline(id="colour", title="Mean and spread of RGB, logistic regression"),
                Baseline(id="logistic", title="Frozen VGG16 features, logistic regression"),
            ],
            published=[
                PublishedFigure(metric="accuracy", value=0.9826, task="scc-versus-ac", source=PAPER),
                PublishedFigure(metric="precision", value=0.968, task="scc-versus-ac", source=PAPER),
                PublishedFigure(metric="recall", value=0.99, task="scc-versus-ac", source=PAPER),
                PublishedFigure(metric="f1", value=0.979, task="scc-versus-ac", source=PAPER),
            ],
            notes=notes,
        ),
        golden="slide/golden.npz",
        intended_use=[
            "Demonstrating, teaching and criticising tile-based slide scoring.",
            "Trying the whole path from slide to explained answer before a cervical model is trained.",
        ],
        limits=[
            "Trained on lung tissue, a stand-in: no cervical tile was seen. Not for any clinical question.",
            "Adenosquamous, neuroendocrine and metastatic tumours are outside its three classes.",
            "HPV association cannot be told from morphology alone (WHO 2020).",
            "LC25000 comes from one institution; stains and scanners of other laboratories were not seen.",
            "The physical scale of the training tiles is an estimate.",
        ],
        known_failures=[
            "Colour alone tells much of this data apart; see the colour baseline beside every figure.",
            "Benign training tiles are alveolar lung: benign squamous epithelium may be called carcinoma or novel.",
        ],
    )
