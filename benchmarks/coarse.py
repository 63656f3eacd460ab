"""What enlarging does to the answers of the slide model: pictures coarser than its scale, as the app would read them."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from cervix.bundle import ModelSession, load_bundle
from cervix.bundle.manifest import TileInput
from cervix.intervals import wilson_interval
from cervix.settings import PROJECT_ROOT, get_settings
from training.data.tissue.sources import Source, SourceTiles, load_sources

TILES_A_RUN = 24
FACTORS = (1.0, 1.25, 1.5, 2.0, 2.8)
FIELDS = "oral_rahman_400x_coarse"
# Micrometres per pixel of a whole oral field along its coarser side, before it was stretched to square pixels.
FIELDS_UM_PX = 1.375
FINE = ("lung_lc25000", "colon_lc25000", "oral_rahman_400x", "multiorgan_nuinsseg")
COARSE = (FIELDS, "colorectal_ebhi_seg", "endometrium_sun2019")
Tiles = NDArray[np.uint8]


def coarse(runs: int) -> pd.DataFrame:
    """One row a source and factor, on held-out tiles of the bundle in ``bundle/``, 24 a source and run.

    Tiles about as fine as the model's scale are reduced and enlarged again. Of coarser ones the middle is enlarged. Intervals
    are Wilson's over tiles.
    """
    folder = get_settings().bundle_dir
    session = load_bundle(folder, device="cpu").session_of("tile")
    scale = session.model.tiles
    assert scale is not None, "a tile model declares its tiles"
    found = load_sources(
        Path(os.environ["CERVIX_DATA"]) / "tiles", PROJECT_ROOT / "training/recipes/tissue.toml", scale.size_px
    )
    sources = {source.id: source for source in found.sources}
    held_out = pd.read_parquet(folder / "slide/predictions.parquet", columns=["case", "by_source"])
    rows = []
    for name in (*FINE, *COARSE):
        some = _some_of(found, sources[name], held_out, TILES_A_RUN * runs)
        for factor, seen in _enlargements(some.tiles.pixels, sources[name], scale):
            answers = _answers(session, seen, some.tiles.labels)
            rows.append({"source": sources[name].title, "enlarged": f"{factor:.2f}", **answers})
    return pd.DataFrame(rows)


def _some_of(found: SourceTiles, source: Source, held_out: pd.DataFrame, at_most: int) -> SourceTiles:
    cases = held_out.loc[held_out["by_source"] == source.title, "case"]
    here = np.flatnonzero((found.source == source.id) & np.isin(found.tiles.paths, cases))
    return found.of(np.random.default_rng(0).permutation(here)[:at_most])


def _enlargements(tiles: Tiles, source: Source, scale: TileInput) -> Iterator[tuple[float, Tiles]]:
    """A factor and the tiles as the app would read them of a picture so much coarser than the model's scale."""
    size = scale.size_px
    if source.id in FINE:
        for factor in FACTORS:
            yield factor, _each(_each(tiles, round(size / factor), Image.Resampling.BOX), size)
        return
    yield 1.0, tiles
    yield source.spacing_um_px / scale.spacing_um_px, _middle(tiles, size * scale.spacing_um_px / source.spacing_um_px, size)
    if source.id == FIELDS:
        small = _each(tiles, round(size * source.spacing_um_px / FIELDS_UM_PX), Image.Resampling.BOX)
        yield FIELDS_UM_PX / scale.spacing_um_px, _middle(small, size * scale.spacing_um_px / FIELDS_UM_PX, size)


def _each(tiles: Tiles, size_px: int, how: Image.Resampling = Image.Resampling.BILINEAR) -> Tiles:
    """Every tile at another size; enlarged as ``Slide.read`` does, or each pixel the mean of what it covers (``BOX``)."""
    return np.stack([np.asarray(Image.fromarray(tile).resize((size_px, size_px), how)) for tile in tiles])


def _middle(tiles: Tiles, edge_px: float, size_px: int) -> Tiles:
    edge = round(edge_px)
    start = (tiles.shape[1] - edge) // 2
    return _each(np.ascontiguousarray(tiles[:, start : start + edge, start : start + edge]), size_px)


def _answers(session: ModelSession, tiles: Tiles, labels: NDArray[np.str_]) -> dict[str, str]:
    model, size = session.model, session.batch_size
    padded = np.concatenate([tiles, np.zeros((-len(tiles) % size, *tiles.shape[1:]), np.uint8)])
    outs = [session.run({"tiles": padded[at : at + size]}, ["probabilities", "novelty"]) for at in range(0, len(tiles), size)]
    probabilities, novelty = (
        np.concatenate([out[name] for out in outs])[: len(tiles)] for name in ("probabilities", "novelty")
    )
    asked = model.derived_tasks[0]
    accepted = model.is_recognised(novelty, probabilities)
    carcinoma = np.isin(labels, asked.positive)
    called = probabilities[:, np.isin(model.class_ids, asked.positive)].sum(axis=1) >= model.threshold(asked.id)
    typed = np.array(model.class_ids)[probabilities.argmax(axis=1)] == labels
    return {
        "without carcinoma: accepted": _of(accepted[~carcinoma]),
        "of these called carcinoma": _share(called[accepted & ~carcinoma]),
        "carcinoma: accepted": _of(accepted[carcinoma]),
        "of these called so": _share(called[accepted & carcinoma]),
        "of the right type": _share(typed[accepted & carcinoma]),
    }


def _of(hits: NDArray[np.bool_]) -> str:
    return f"{hits.sum()} of {len(hits)}" if len(hits) else "–"


def _share(hits: NDArray[np.bool_]) -> str:
    if len(hits) == 0:
        return "–"
    share = wilson_interval(float(hits.sum()), len(hits))
    return f"{hits.sum()} of {len(hits)}, {100 * share.value:.0f} % ({100 * share.low:.0f}–{100 * share.high:.0f})"
