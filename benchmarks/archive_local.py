"""Speed of this machine's engine beside a plain loop over the same slides."""

import statistics
import tempfile
import time
from pathlib import Path

import pandas as pd

from benchmarks.archive_slides import write_of_50_tiles, write_of_200_tiles
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


def archive_local(runs: int) -> pd.DataFrame:
    """Tiles/s of a run on this machine, from the first slide given to the last entered, beside ``score_slide`` in a loop.

    The loop has one session and neither looks at a slide apart first, nor keeps rows, nor writes results. Both have opened
    their session before; they run in turn.
    """
    bundle = load_bundle(PROJECT_ROOT / "bundle", device="cpu", kind="tile")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        large, small = write_of_200_tiles(Path(folder, "large")), write_of_50_tiles(Path(folder, "small"))
        for name, slides in (("200 tiles", large), ("50 tiles", small)):
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
