"""A scored slide for other programs: QuPath, image viewers, tables."""

import json
import math
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tifffile import TiffWriter

from cervix.bundle.classes import NO_ANSWER_COLOUR, NO_CLASS, NOVELTY_COLOUR, UNREAD, UNRECOGNISED
from cervix.bundle.manifest import Model
from cervix.files import replacing
from cervix.slides.decision import most_probable, read_tiles, recognised_tiles, tile_probabilities
from cervix.slides.deepzoom import value_grid
from cervix.slides.head import ATTENTION, ATTENTION_MEANS
from cervix.slides.qupath import qupath_boxes, qupath_class, tile_feature, write_features
from cervix.slides.scoring import SlideScore

UNRECOGNISED_TITLE = f"{NO_CLASS[UNRECOGNISED]} (no answer)"
HEATMAP_TILE_PX = 256
PYRAMID_ENDS_PX = 256


def tile_table(score: SlideScore, model: Model) -> pd.DataFrame:
    """The tile table for others: provenance in every row, and no probability where the model does not recognise the tile.

    Columns ``read`` and ``recognised`` say why a row has none; ``answer`` is that of the slide. ``triage``, of a triage alone,
    says how much was seen; ``head``, where the bundle has a slide head, what that says, beside ``attention`` to each tile.
    """
    known = recognised_tiles(score.tiles, model)
    columns = [f"p_{label}" for label in model.class_ids]
    table = score.tiles.assign(
        read=read_tiles(score.tiles),
        recognised=known,
        answer=score.summary.answer.headline,
        **({} if score.summary.triage is None else {"triage": score.summary.triage.words}),
        **({} if score.summary.head is None else {"head": score.summary.head.sentence(score.summary.answer)}),
        **{name: score.tiles[name].where(known) for name in columns},
    )
    return score.summary.provenance.stamp(table)


def write_table(score: SlideScore, model: Model, path: Path) -> None:
    """``tile_table`` as CSV or parquet by the suffix of ``path``."""
    table = tile_table(score, model)
    with replacing(path) as temporary:
        if path.suffix == ".parquet":
            table.to_parquet(temporary, index=False)
        else:
            table.to_csv(temporary, index=False)


def write_geojson(score: SlideScore, model: Model, path: Path) -> None:
    """Each tile as a QuPath object with its most probable class and its measurements, in QuPath's pixels.

    A tile that is not recognised has its novelty alone where that is a number, one that could not be read nothing. QuPath
    shows the scanned part of a slide and counts from its corner, which ``plane`` in the file's provenance names.
    """
    write_features(_tile_features(score, model), _facts(score), path)


def _tile_features(score: SlideScore, model: Model) -> Iterator[dict[str, Any]]:
    names = [f"P({item.title})" for item in model.classes]
    classes = [qupath_class(item.title, item.colour) for item in model.classes]
    unknown, unread = qupath_class(UNRECOGNISED_TITLE, NOVELTY_COLOUR), qupath_class(NO_CLASS[UNREAD], NO_ANSWER_COLOUR)
    attention = score.tiles[ATTENTION].to_numpy(float) if ATTENTION in score.tiles else np.full(len(score.tiles), np.nan)
    for box, top, read, shares, distance, looked in zip(
        qupath_boxes(score.tiles[["x_l0_px", "y_l0_px", "size_l0_px"]].to_numpy(int), score.summary.plane),
        most_probable(score.tiles, model).tolist(),
        read_tiles(score.tiles).tolist(),
        tile_probabilities(score.tiles, model).round(6).tolist(),
        score.tiles["novelty"].to_numpy(float).round(4).tolist(),
        attention.round(8).tolist(),
        strict=True,
    ):
        if not read:
            yield tile_feature(box, unread, {})
        elif top < 0:
            # JSON has no infinity.
            yield tile_feature(box, unknown, {"Novelty": distance} if math.isfinite(distance) else {})
        else:
            told = {} if math.isnan(looked) else {"Attention": looked}
            yield tile_feature(box, classes[top], dict(zip(names, shares, strict=True)) | {"Novelty": distance} | told)


def _facts(score: SlideScore) -> dict[str, object]:
    summary = score.summary
    return {
        **asdict(summary.provenance),
        "slide_sha256": summary.slide_sha256,
        "answer": summary.answer.sentence,
        **({} if summary.triage is None else {"triage": summary.triage.model_dump()}),
        **({} if summary.head is None else {"head": summary.head.sentence(summary.answer), "attention": ATTENTION_MEANS}),
        "unread_tiles": summary.answer.unread_tiles,
        "unrecognised_tiles": summary.answer.unrecognised_tiles,
        "spacing_um_px": summary.spacing_um_px,
        "plane": summary.plane.model_dump(),
    }


def write_heatmap(score: SlideScore, model: Model, path: Path) -> None:
    """Probabilities and novelty as a pyramidal OME-TIFF that lies over the slide.

    One pixel a tile, 32-bit float, one channel a class and one for novelty; NaN where nothing was scored or read, and in
    the classes where the model does not recognise the tile. It covers the whole scanned part, the last column and row
    reaching beyond it where tiles do not fill it, so that all maps of a slide at one scale have one shape. The physical pixel
    size is that of a tile, so that viewers which know it place the map over the slide.
    """
    labels = [*(f"p_{label}" for label in model.class_ids), "novelty"]
    table = tile_table(score, model)
    summary = score.summary
    planes = np.stack([value_grid(table, table[label].to_numpy(np.float32), summary.lattice) for label in labels])
    edge_um = summary.size_l0_px * summary.spacing_um_px
    levels = [planes]
    while max(levels[-1].shape[1:]) > PYRAMID_ENDS_PX:
        levels.append(_halved(levels[-1]))
    metadata = {
        "axes": "CYX",
        "Name": f"Scores of slide {summary.slide_sha256[:12]}",
        "PhysicalSizeX": edge_um,
        "PhysicalSizeXUnit": "µm",
        "PhysicalSizeY": edge_um,
        "PhysicalSizeYUnit": "µm",
        "Channel": {"Name": [*model.class_titles.values(), "Novelty"]},
        "Description": json.dumps(_facts(score), ensure_ascii=False),
    }
    write = partial(TiffWriter.write, tile=(HEATMAP_TILE_PX, HEATMAP_TILE_PX), compression="zlib", photometric="minisblack")
    with replacing(path) as temporary, TiffWriter(temporary, ome=True) as writer:
        for factor, level in enumerate(levels):
            per_cm = 1e4 / (edge_um * 2**factor)
            write(
                writer,
                level,
                resolution=(per_cm, per_cm),
                resolutionunit="CENTIMETER",
                subfiletype=int(factor > 0),
                subifds=0 if factor else len(levels) - 1,
                metadata=None if factor else metadata,
            )


def _halved(planes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Means of 2 x 2 pixels, NaN only where all four are."""
    channels, height, width = planes.shape
    padded = np.full((channels, height + height % 2, width + width % 2), np.nan, np.float32)
    padded[:, :height, :width] = planes
    blocks = padded.reshape(channels, padded.shape[1] // 2, 2, padded.shape[2] // 2, 2)
    known = ~np.isnan(blocks)
    count = known.sum(axis=(2, 4))
    total = np.where(known, blocks, 0.0).sum(axis=(2, 4))
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan), np.float32)
