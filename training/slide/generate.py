"""Recipe ``generate``: tiles made by a diffusion model, and whether they help with a laboratory that nobody has seen."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image
from scipy.special import softmax

from cervix.bundle import Bundle
from cervix.evaluation.comparison import decimal, percent
from cervix.evaluation.metrics import binary_report, paired_differences
from cervix.intervals import wilson_interval
from training.data.tissue.sources import SourceTiles, tiles_of_recipe
from training.data.tissue.tiles import TileSet
from training.shared.declared import declared_classes, read_recipe
from training.shared.manifest_parts import write_table
from training.shared.onnx_graphs import run_onnx
from training.shared.stages import Log, Stages, array_digest, digest_of
from training.slide.activations import cached_activations
from training.slide.balance import tile_weights
from training.slide.diffusion import Diffusion, Tiles
from training.slide.fit import in_batches
from training.slide.novelty import role_signs, texture
from training.slide.rehearsal import SHIPPED, orientations
from training.slide.texture_path import fit_linear_path
from training.slide.vgg16 import backbone, fast_precision, last_block, pooled

Floats = NDArray[np.float32]
THUMBNAIL_PX = 32
COPIED_SHARE = 0.01
"""As near to a training tile as this share of real test tiles are counts as copied."""
CALLED_AT = 0.5
SHEET_COLUMNS = 8


@dataclass(frozen=True)
class _Made:
    """Made tiles enlarged to the model's size, with the class each was made as."""

    pixels: Tiles
    target: NDArray[np.int64]


def train_generate(
    recipe_path: Path, shipped_path: Path, tiles_dir: Path, weights: Path | None, bundle: Bundle, minutes: float | None,
    out_dir: Path, log: Log,
) -> pd.DataFrame:  # fmt: skip
    """Train, make tiles and measure them; write ``generate/`` under ``out_dir`` and return the table of figures.

    The laboratory that is left out has no part in the diffusion model. The others' training tiles teach it, their test tiles
    stand beside what it makes. A training that was broken off goes on from its checkpoint.

    Parameters
    ----------
    shipped_path : the recipe that declares what role each class has
    bundle : whose slide model says which made tiles it accepts
    minutes : of computing; replaces the recipe's

    Raises
    ------
    TileFolderError, WeightsMissing
        If the data or the ImageNet weights are not there.
    """
    recipe = tomllib.loads(recipe_path.read_text(encoding="utf-8"))
    if minutes is not None:
        recipe["train"]["minutes"] = minutes
    classes, folder, stages = list(recipe["data"]["classes"]), out_dir / recipe["name"], Stages(out_dir / "stages", log)
    every, assigned = tiles_of_recipe(recipe_path, recipe, tiles_dir)
    of_a_class = np.isin(every.tiles.labels, classes)
    out = of_a_class & (every.laboratory == recipe["data"]["left_out"])
    train, test = (every.of(np.flatnonzero((assigned == split) & ~out)) for split in ("train", "test"))
    left_out = every.of(np.flatnonzero(out))
    log(f"{len(train.source)} tiles to learn from, {len(left_out.source)} of {recipe['data']['left_out']} left out")

    made_px, target = recipe["tiles"]["made_px"], _target(train, classes)
    small = resized(train.tiles.pixels, made_px)
    draws = tile_weights(target, train.laboratory, train.tiles.groups, np.zeros(len(target), bool), 1.0)
    depends_on = {key: recipe[key] for key in ("seed", "data", "tiles", "network")} | {"pixels": array_digest(small)}
    model = Diffusion(recipe, folder / f"checkpoint-{digest_of(depends_on)}.npz")
    model.train(small, target, draws, log)
    size_px, count = recipe["tiles"]["size_px"], recipe["make"]["per_class"]
    parts = [resized(model.make(label, count, recipe["seed"]), size_px) for label in range(len(classes))]
    made = _Made(np.concatenate(parts), np.repeat(np.arange(len(classes)), count))
    _write_tiles(made, classes, folder)
    log(f"{len(made.target)} tiles made after {model.steps} steps")

    again = resized(resized(test.tiles.pixels, made_px), size_px)
    rows = [{"figure": "Steps of training", "made": f"{model.steps:,} in {model.seconds / 60:.0f} min"}]
    rows += nearest_rows(made.pixels, again, train.tiles.pixels)
    rows += accepted_rows(made, _Made(again, _target(test, classes)), classes, bundle)
    rows += gain_rows(made, train, left_out, backbone(weights, fast_precision()), recipe, shipped_path, stages, log)
    table = pd.DataFrame(rows).fillna("–")
    write_table(folder / "figures.csv", table)
    log(table.to_string(index=False))
    return table


def resized(tiles: Tiles, size_px: int) -> Tiles:
    """The same fields at another size, ``(n, size_px, size_px, 3)``."""
    size = (size_px, size_px)
    return np.stack([np.asarray(Image.fromarray(tile).resize(size, Image.Resampling.BICUBIC)) for tile in tiles])


def nearest_rows(made: Tiles, real: Tiles, train: Tiles) -> list[dict[str, str]]:
    """How near made tiles are to training tiles, in any of eight orientations, beside real ones that were not trained on."""
    near, usual = (nearest_difference(tiles, train) for tiles in (made, real))
    limit = np.quantile(usual, COPIED_SHARE)
    return [
        {
            "figure": f"Nearest training tile in any orientation: difference at {THUMBNAIL_PX} px, median (smallest)",
            "made": f"{np.median(near):.1f} ({near.min():.1f})",
            "real": f"{np.median(usual):.1f} ({usual.min():.1f})",
        },
        {
            "figure": "Nearer to a training tile than 99 % of real tiles are",
            "made": percent(wilson_interval(int((near < limit).sum()), len(near))),
            "real": percent(wilson_interval(int((usual < limit).sum()), len(usual))),
        },
    ]


def nearest_difference(tiles: Tiles, train: Tiles) -> NDArray[np.float64]:
    """Root mean square difference to the nearest training tile in any of eight orientations, in grey levels, ``(n,)``."""
    there = resized(train, THUMBNAIL_PX).reshape(len(train), -1).astype(np.float64)
    nearest = np.full(len(tiles), np.inf)
    for turned in orientations(resized(tiles, THUMBNAIL_PX)):
        here = turned.reshape(len(tiles), -1).astype(np.float64)
        square = (here**2).sum(axis=1)[:, None] - 2 * here @ there.T + (there**2).sum(axis=1)
        nearest = np.minimum(nearest, square.min(axis=1))
    return np.asarray(np.sqrt(np.maximum(nearest, 0) / there.shape[1]), np.float64)


def accepted_rows(made: _Made, real: _Made, classes: list[str], bundle: Bundle) -> list[dict[str, str]]:
    """What the slide model accepts of made tiles, beside real ones made as small and enlarged again."""
    model = bundle.manifest.first_of("tile")
    (file,) = (variant.file for variant in model.variants if variant.precision == SHIPPED)
    graph = (bundle.root / file).read_bytes()
    rows: dict[str, dict[str, str]] = {}
    for side, tiles in (("made", made), ("real", real)):
        answers = run_onnx(graph, tiles.pixels, ["probabilities", "novelty"])
        accepted = model.is_recognised(answers["novelty"], answers["probabilities"])
        called = np.array(model.class_ids)[answers["probabilities"].argmax(axis=1)]
        for index, name in enumerate(classes):
            here = tiles.target == index
            for what, right in (("accepted", accepted), ("accepted, and called so", accepted & (called == name))):
                found = percent(wilson_interval(int(right[here].sum()), int(here.sum()))) if here.any() else "–"
                rows.setdefault(f"{name}: {what} by the slide model", {})[side] = found
    return [{"figure": figure, **sides} for figure, sides in rows.items()]


def gain_rows(
    made: _Made, train: SourceTiles, left_out: SourceTiles, network: keras.Model, recipe: Mapping[str, Any], shipped_path: Path,
    stages: Stages, log: Log,
) -> list[dict[str, str]]:  # fmt: skip
    """AUROC of cancerous against benign in the laboratory left out, on frozen features, without made tiles and with them."""
    classes = list(recipe["data"]["classes"])
    features, target = _features(train.tiles.pixels, network, stages, log), _target(train, classes)
    weights = tile_weights(target, train.laboratory, train.tiles.groups, np.zeros(len(target), bool), 1.0)
    share = recipe["gain"]["made_share"]
    both = np.concatenate([(1 - share) * weights, np.full(len(made.target), share / len(made.target))])
    seen = np.concatenate([features, _features(made.pixels, network, stages, log)])
    without = fit_linear_path(features, target, weights * len(weights))
    with_made = fit_linear_path(seen, np.concatenate([target, made.target]), both * len(both))
    signs = role_signs(declared_classes(read_recipe(shipped_path), classes))
    asked = signs[_target(left_out, classes)]
    here = np.flatnonzero(asked != 0)
    there = _features(left_out.tiles.pixels[here], network, stages, log)
    first, second = (
        softmax(path.logits(there), axis=1)[:, signs > 0].sum(axis=1).astype(np.float64) for path in (without, with_made)
    )
    positive, groups, name = asked[here] > 0, left_out.tiles.groups[here], recipe["data"]["left_out"]
    of_each = [binary_report(positive, score, groups, CALLED_AT).bootstrap["auroc"] for score in (second, first)]
    gain = paired_differences(positive, (first, second), (CALLED_AT, CALLED_AT), groups)["auroc"]
    n = f"{len(here)} tiles, {len(np.unique(groups))} groups"
    return [
        {
            "figure": f"{name}, left out ({n}): AUROC of cancerous against benign, learned with made tiles and without",
            "made": decimal(of_each[0]),
            "real": decimal(of_each[1]),
        },
        {"figure": f"{name}, left out: gain by made tiles", "made": decimal(gain)},
        {"figure": "Ships, because it helps a laboratory left out", "made": "yes" if gain.low > 0 else "no"},
    ]


def _target(tiles: SourceTiles, classes: list[str]) -> NDArray[np.int64]:
    return np.array([classes.index(label) for label in tiles.tiles.labels], np.int64)


def _features(pixels: Tiles, network: keras.Model, stages: Stages, log: Log) -> Floats:
    """Means of block 4 and of block 5 of the ImageNet network, ``(n, 1024)``."""
    nothing = np.full(len(pixels), "")
    block4 = cached_activations(network, TileSet(pixels, nothing, nothing, nothing, []), {"copies": 0}, stages, log).clean
    return np.concatenate([texture(block4), in_batches(pooled(last_block(network)), block4)], axis=1)


def _write_tiles(made: _Made, classes: list[str], folder: Path) -> None:
    """Each made tile as PNG under its class, and one of many on a sheet to look at."""
    numbers = {name: np.flatnonzero(made.target == index) for index, name in enumerate(classes)}
    for name, here in numbers.items():
        (folder / "tiles" / name).mkdir(parents=True, exist_ok=True)
        for number, position in enumerate(here):
            Image.fromarray(made.pixels[position]).save(folder / "tiles" / name / f"{number:04d}.png")
    rows = [np.concatenate(made.pixels[here[:SHEET_COLUMNS]], axis=1) for here in numbers.values()]
    Image.fromarray(np.concatenate(rows)).save(folder / "sheet.png")
