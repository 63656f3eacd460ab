"""How often a triage says what the full score says, what it sees and which foci it misses, on slides of held-out tiles."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from zlib import crc32

import numpy as np
import pandas as pd

from benchmarks.pseudo_slides import (
    Laboratory,
    Layout,
    PseudoSlide,
    called_boundary_share,
    foci,
    laboratories,
    missed_foci,
    pseudo_slide,
    share,
    stripes,
)
from cervix.bundle import Model, load_bundle
from cervix.intervals import wilson_interval
from cervix.settings import PROJECT_ROOT
from cervix.slides.certainty import calling_boundary
from cervix.slides.grid import sweep_order
from cervix.slides.triage import Sweep

SLIDES_A_RUN = 4
"""Of each laboratory, size and layout."""
SIZES = (500, 1500, 5000, 15_000, 50_000)
LAYOUTS: dict[str, Layout] = {
    "no carcinoma": foci(1, 0),
    **{f"{count} foci of {tiles}": foci(count, tiles) for count, tiles in ((1, 1), (2, 3), (3, 10), (3, 30), (3, 100))},
    **{f"{of_tiles:.0%} carcinoma": share(of_tiles) for of_tiles in (0.05, 0.1, 0.2, 0.25, 0.3, 0.4, 0.6)},
}
AT_BOUNDARY, STRIPES, STRIPES_IN_STEP = "at the boundary", "stripes", "stripes, order not scrambled"
STRIPED_TILES = 4096
"""64 x 64: of a square like this the order that is not scrambled sees every other column alone until its half."""


@dataclass(frozen=True)
class _InStep(Sweep):
    """A sweep in the order of the grid, not scrambled: what the scrambling is held against."""

    @property
    def order(self) -> np.ndarray:  # type: ignore[override]
        return sweep_order(self.column, self.row)


def triage(runs: int) -> pd.DataFrame:
    """One row a size and layout; the last ones are hard on purpose, or of foci by size.

    Agreement is that of the verdict of the triage with that of the full score, with Wilson's 95 % interval. Slides that the
    triage scored to their end, as all without a cancerous tile, agree by themselves: ``decided early`` counts the others.
    """
    told = pd.DataFrame(_told(runs))
    rows = [
        _row(size, layout, part) for (size, layout), part in told.groupby(["size", "layout"], sort=False)
    ]  # fmt: skip
    usual = told[told["layout"].isin(LAYOUTS)]
    rows += [_row(size, "all of these", part) for size, part in usual.groupby("size")]
    large = usual[(usual["size"] >= 5000) & (usual["full"] == "cancer")]
    rows += [_row(">= 5000", "called cancer", large), _row("all", "all of these", usual)]
    rows += list(_foci_rows(usual))
    return pd.DataFrame(rows).fillna("")


def _told(runs: int) -> Iterator[dict[str, object]]:
    bundle = load_bundle(PROJECT_ROOT / "bundle", device="cpu")
    model = bundle.session_of("tile").model
    for size in SIZES:
        for laboratory in laboratories(bundle):
            for layout, lay in (*LAYOUTS.items(), (AT_BOUNDARY, _at_boundary(size, laboratory, model))):
                random = np.random.default_rng(crc32(f"{size} {laboratory.title} {layout}".encode()))
                for _ in range(SLIDES_A_RUN * runs):
                    yield {"size": size, "layout": layout, **_triaged(pseudo_slide(size, laboratory, lay, model, random))}
    for laboratory in laboratories(bundle):
        random = np.random.default_rng(crc32(laboratory.title.encode()))
        for _ in range(SLIDES_A_RUN * runs):
            slide = pseudo_slide(STRIPED_TILES, laboratory, stripes, model, random, solid=True)
            yield {"size": STRIPED_TILES, "layout": STRIPES, **_triaged(slide)}
            sweep = _InStep(slide.sweep.column, slide.sweep.row, slide.sweep.tissue, 0)
            yield {"size": STRIPED_TILES, "layout": STRIPES_IN_STEP, **_triaged(replace(slide, sweep=sweep))}


def _at_boundary(size: int, laboratory: Laboratory, model: Model) -> Layout:
    assert model.slide_rule is not None, "a tile model declares its slide rule"
    return share(called_boundary_share(size, laboratory, model, calling_boundary(size, model.slide_rule)))


def _triaged(slide: PseudoSlide) -> dict[str, object]:
    step, known = slide.triaged()
    answer = slide.answered(step)
    return {
        "full": slide.full.verdict,
        "agrees": answer.verdict == slide.full.verdict,
        "early": step.finding is not None and not known.all(),
        "same type": answer.headline == slide.full.headline,
        "seen": int(known.sum()) / len(known),
        "foci": missed_foci(slide, known),
    }


def _row(size: object, layout: str, told: pd.DataFrame) -> dict[str, object]:
    early = told[told["early"]]
    called = told[told["full"] == "cancer"]
    return {
        "tiles": size,
        "layout": layout,
        "slides": len(told),
        "full: called / undecided": f"{len(called)} / {(told['full'] == 'undecided').sum()}",
        "verdict agrees": _share(told["agrees"]),
        "decided early": len(early),
        "of these agree": _share(early["agrees"]),
        "type agrees": _share(called["same type"]),
        "tiles seen, median (90 %)": f"{100 * told['seen'].median():.1f} % ({100 * told['seen'].quantile(0.9):.1f} %)",
    }


def _foci_rows(told: pd.DataFrame) -> Iterator[dict[str, object]]:
    """Foci of slides that were decided early, by their size."""
    early = told[told["early"] & told["layout"].str.contains("foci")]
    every = pd.concat([part.assign(size=size) for size, part in zip(early["size"], early["foci"], strict=True)])
    for (size, tiles), part in every.groupby(["size", "tiles"]):
        yield {"tiles": size, "layout": f"foci of {tiles}", "slides": "", "foci found": _share(part["found"])}


def _share(hits: "pd.Series[bool]") -> str:
    if hits.empty:
        return "–"
    found = wilson_interval(float(hits.sum()), len(hits))
    return f"{hits.sum()} of {len(hits)}, {100 * found.value:.1f} % ({100 * found.low:.1f}–{100 * found.high:.1f})"
