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
from cervix.slides.sweep import Sweep

SLIDES_A_RUN = 4
"""Of each laboratory, size and layout."""
SIZES = (500, 1500, 5000, 15_000, 50_000)
LAYOUTS: dict[str, Layout] = {
    "no carcinoma": foci(1, 0),
    **{f"{count} foci of {tiles}": foci(count, tiles) for count, tiles in ((1, 1), (2, 3), (3, 10), (3, 30), (3, 100))},
    **{f"{of_tiles:.0%} carcinoma": share(of_tiles) for of_tiles in (0.05, 0.1, 0.2, 0.25, 0.3, 0.4, 0.6)},
}
AT_BOUNDARY, STRIPES, STRIPES_IN_STEP = "at the boundary", "stripes", "stripes, order not scrambled"
FOCUS_SIZES, FOCUS_WORDS = (0, 1, 3, 10, 30, 100), ("1", "2 to 3", "4 to 10", "11 to 30", "31 to 100")
STRIPED_TILES = 4096
"""64 x 64: of a square like this the order that is not scrambled sees every other column alone until its half."""


@dataclass(frozen=True)
class _InStep(Sweep):
    """A sweep in the order of the grid, not scrambled: what the scrambling is held against."""

    @property
    def order(self) -> np.ndarray:  # type: ignore[override]
        return sweep_order(self.column, self.row)


def triage(runs: int) -> pd.DataFrame:
    """One row a layout over all sizes, then layouts that are hard on purpose, then foci by their tiles.

    Agreement is that of the verdict of the triage with that of the full score, with Wilson's 95 % interval. Slides that the
    triage scored to their end, as all without a cancerous tile, agree by themselves: ``decided early`` counts the others.
    ``seen at`` is the share of tiles scored on slides of so many tiles, its median and, in brackets, 90 % point; of foci it
    is how many of those of which a tile would be called were found, on slides that were decided early.
    """
    return table_of(pd.DataFrame(_told(runs)))


def table_of(told: pd.DataFrame) -> pd.DataFrame:
    """The table of what was told of each slide."""
    usual = told[told["layout"].isin(LAYOUTS)]
    called = usual[usual["full"] == "cancer"]
    rows = [_row(str(layout), part) for layout, part in usual.groupby("layout", sort=False)]
    rows += [_row("all of these", usual), _row("all of these that are called", called)]
    hard = told[~told["layout"].isin(LAYOUTS)]
    rows += [_row(str(layout), part) for layout, part in hard.groupby("layout", sort=False)]
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


def _row(layout: str, told: pd.DataFrame) -> dict[str, object]:
    early, called = told[told["early"]], told[told["full"] == "cancer"]
    seen = {
        f"seen at {size:,}": f"{100 * part['seen'].median():.1f} % ({100 * part['seen'].quantile(0.9):.1f} %)"
        for size, part in told.groupby("size")
    }
    return {
        "layout": layout,
        "slides": len(told),
        "called / undecided": f"{len(called)} / {(told['full'] == 'undecided').sum()}",
        "verdict agrees": _share(told["agrees"]),
        "decided early": str(len(early)),
        "of these agree": _share(early["agrees"]),
        "type agrees": _share(called["same type"]),
        **seen,
    }


def _foci_rows(told: pd.DataFrame) -> Iterator[dict[str, object]]:
    """Foci of slides that were decided early, by their size and by what was decided."""
    early = told[told["early"] & told["layout"].str.contains("foci")]
    every = pd.concat(
        part.assign(size=size, full=full)
        for size, full, part in zip(early["size"], early["full"], early["foci"], strict=True)
    )  # fmt: skip
    every["of"] = pd.cut(every["tiles"].astype(int), FOCUS_SIZES, labels=FOCUS_WORDS)
    for (full, of), part in every[every["full"] != "abstained"].groupby(["full", "of"], observed=True):
        found = {
            f"seen at {size:,}": f"{some['found'].sum()} of {len(some)} found" for size, some in part.groupby("size")
        }  # fmt: skip
        yield {"layout": f"foci of {of} tiles, {full}", "slides": len(part), "verdict agrees": _share(part["found"]), **found}


def _share(hits: "pd.Series[bool]") -> str:
    if hits.empty:
        return "–"
    found, count = int(hits.sum()), len(hits)
    limits = wilson_interval(found, count)
    return f"{found} of {count}, {100 * limits.value:.1f} % ({100 * limits.low:.1f}–{100 * limits.high:.1f})"
