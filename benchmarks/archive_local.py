"""Speed of this machine's engine beside a plain loop over the same slides."""

import statistics
import tempfile
import time
from pathlib import Path

import pandas as pd

from benchmarks.made_slides import write_large_slide
from cervix.archive.driver import drive
from cervix.archive.engines.local import LocalEngine
from cervix.archive.ledger import Ledger
from cervix.archive.sources import listed
from cervix.archive.work import Station
from cervix.bundle.loading import load_bundle
from cervix.settings import PROJECT_ROOT, get_settings
from cervix.slides.scoring import score_slide
from cervix.sources.opening import open_slide

WANTED = 0.95
LARGE, LARGE_PX, SMALL = 4, 8_192, 8
"""Slides of some 200 tiles each, as a small biopsy has; and the drawn samples, of 50, where what a slide costs before its first
tile weighs most."""
SAMPLES = PROJECT_ROOT / "cervix" / "samples" / "drawn"


def archive_local(runs: int) -> pd.DataFrame:
    """Tiles/s of a run on this machine, from the first slide given to the last entered, beside ``score_slide`` in a loop.

    The loop has one session and neither looks at a slide apart first, nor keeps rows, nor writes results. Both have opened
    their session before; they run in turn.
    """
    bundle = load_bundle(PROJECT_ROOT / "bundle", device="cpu", kind="tile")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, slides in (("200 tiles", _large(Path(folder, "large"))), ("50 tiles", _small(Path(folder, "small")))):
            loop, engine = [], []
            for run in range(runs):
                before, tiles = time.perf_counter(), 0
                for path in slides:
                    tiles += len(score_slide(open_slide(path), bundle).tiles)
                loop.append(tiles / (time.perf_counter() - before))
                engine.append(_engine(slides[0].parent, Path(folder, f"{name} {run}"), bundle.sha256, tiles))
            ratio = statistics.median(ours / theirs for ours, theirs in zip(engine, loop, strict=True))
            rows.append(
                {
                    "slides": f"{len(slides)} of {name}", "runs": runs, "tiles": tiles,
                    "engine, tiles/s": round(statistics.median(engine), 2),
                    "score_slide in a loop, tiles/s": round(statistics.median(loop), 2),
                    "ratio": round(ratio, 3), "wanted": f">= {WANTED:.2f}",
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def _large(folder: Path) -> list[Path]:
    folder.mkdir()
    write_large_slide(folder / "0.tiff", LARGE_PX, 1)
    return _copies(folder, [folder / "0.tiff"], LARGE)


def _small(folder: Path) -> list[Path]:
    folder.mkdir()
    return _copies(folder, sorted(SAMPLES.glob("*.tiff")), SMALL)


def _copies(folder: Path, of: list[Path], count: int) -> list[Path]:
    """The same pixels under contents of their own: some bytes more at the end."""
    content = [path.read_bytes() for path in of]
    for number in range(count):
        (folder / f"{number}.tiff").write_bytes(content[number % len(of)] + bytes(number + 1))
    return sorted(folder.iterdir())


def _engine(archive: Path, out: Path, bundle_sha256: str, tiles: int) -> float:
    out.mkdir()
    station = Station(PROJECT_ROOT / "bundle", bundle_sha256, "cpu", out / "results", out / "cache", 1 << 30)
    engine = LocalEngine(station)
    try:
        while not engine.workers()[0].device:
            engine.take(0.1)
        with Ledger(out / "ledger.sqlite") as ledger:
            ledger.add(listed([str(archive)], get_settings()), bundle_sha256)
            before = time.perf_counter()
            drive(ledger, engine)
            seconds = time.perf_counter() - before
            done, scored = ledger.scored()
    finally:
        engine.close(at_once=True)
    if scored != tiles:
        raise RuntimeError(f"{scored} tiles of {done} slides were scored where the loop had {tiles}")
    return tiles / seconds
