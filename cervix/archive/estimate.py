"""How long a run will take on this device, from a look at some of its slides; nothing is written."""

import math
import random
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from scipy.special import stdtrit

from cervix.archive.preparing import readied
from cervix.archive.work import Found, Station, Work
from cervix.bundle import Bundle
from cervix.errors import CervixError
from cervix.slides.desk import measured_tiles_per_s

SLIDES_LOOKED_AT: Final = 12
"""Each takes a second or two; their mean is then known to about half of itself where areas differ as in a real archive."""
SPEED_RUNS: Final = 3
SEED_OF_SAMPLE: Final = 25


@dataclass(frozen=True)
class Estimate:
    """What a run would be.

    Attributes
    ----------
    slides, bytes : int
        To be scored, and what is known of their size.
    known : int
        Slides of the sources that are scored already and as they were.
    looked_at, unusable : int
        A random sample was opened and planned; so many of it cannot be scored.
    tiles : float
        Of all slides together, from the mean of the sample.
    tiles_per_s : float
        Of the bare session here.
    seconds : float
    seconds_low, seconds_high : float or None
        95 % interval of the total for what the sample says of the mean (Student's t, a finite population); None where one slide
        was looked at.
    """

    slides: int
    bytes: int
    known: int
    looked_at: int
    unusable: int
    tiles: float
    tiles_per_s: float
    device: str
    seconds: float
    seconds_low: float | None
    seconds_high: float | None

    @property
    def size(self) -> str:
        """What is known of their bytes, in words."""
        return f"{self.bytes / 1e9:,.1f} GB" if self.bytes >= 1e9 else f"{self.bytes / 1e6:,.1f} MB"

    @property
    def in_words(self) -> list[str]:
        """A line for the slides, one for their tiles, one for the time."""
        known = f"; {self.known:,} more are scored already" if self.known else ""
        lines = [f"{self.slides:,} slides to score, {self.size}{known}"]
        if not self.looked_at:
            return lines
        sample = f"a random {self.looked_at}" if self.looked_at < self.slides else "all"
        unusable = f"; {self.unusable} of them cannot be scored" if self.unusable else ""
        spread = (
            f" (95 % interval {_duration(self.seconds_low)} to {_duration(self.seconds_high)})"
            if self.seconds_low is not None and self.seconds_high is not None and self.looked_at < self.slides
            else ""
        )
        return [
            *lines,
            f"about {self.tiles:,.0f} tiles by {sample} of them{unusable}",
            f"about {_duration(self.seconds)}{spread} on one {self.device}, at {self.tiles_per_s:.1f} tiles/s",
        ]


def estimate_run(
    found: Iterable[Found],
    bundle: Bundle,
    station: Station,
    *,
    is_known: Callable[[Found], bool] = lambda _: False,
    on_look: Callable[[int, int], None] = lambda _done, _of: None,
) -> Estimate:
    """Count the slides and look at a random sample of them.

    Parameters
    ----------
    found : iterable of Found
        Consumed once; a million is not held in memory.
    bundle : Bundle
        Open on the device that the figure shall be of.
    station : Station
        How slides come to hand and which are scored; nothing is written into its results.
    is_known : callable, optional
        Whether a slide is scored already.
    on_look : callable, optional
        Called with how many of the sample were looked at, and of how many.
    """
    draw = random.Random(SEED_OF_SAMPLE)
    sample: list[Found] = []
    slides = held_bytes = known = 0
    for one in found:
        if is_known(one):
            known += 1
            continue
        slides += 1
        held_bytes += one.bytes
        # A reservoir: each slide seen so far is in the sample with the same probability.
        if len(sample) < SLIDES_LOOKED_AT:
            sample.append(one)
        elif (place := draw.randrange(slides)) < SLIDES_LOOKED_AT:
            sample[place] = one
    tiles_per_s = statistics.median(measured_tiles_per_s(bundle) for _ in range(SPEED_RUNS))
    tiles, seconds = list[int](), list[float]()
    for number, one in enumerate(sample):
        started = time.perf_counter()
        tiles.append(_tiles_of(one, bundle, station))
        seconds.append(time.perf_counter() - started + tiles[-1] / tiles_per_s)
        on_look(number + 1, len(sample))
    mean_s = statistics.fmean(seconds) if seconds else 0.0
    spread_s = _half_interval(seconds, slides)
    return Estimate(
        slides=slides,
        bytes=held_bytes,
        known=known,
        looked_at=len(sample),
        unusable=sum(count == 0 for count in tiles),
        tiles=statistics.fmean(tiles) * slides if tiles else 0.0,
        tiles_per_s=tiles_per_s,
        device=bundle.session_of("tile").device_label,
        seconds=mean_s * slides,
        seconds_low=None if spread_s is None else max(0.0, mean_s - spread_s) * slides,
        seconds_high=None if spread_s is None else (mean_s + spread_s) * slides,
    )


def _tiles_of(one: Found, bundle: Bundle, station: Station) -> int:
    """Tiles of tissue on a slide; 0 where it cannot be scored."""
    try:
        with readied(Work(0, one.locator, 1, one.mark, one.spacing_um_px), station, bundle) as ready:
            return len(ready.plan.grid)
    except (CervixError, OSError):
        return 0


def _half_interval(seconds: list[float], slides: int) -> float | None:
    count = len(seconds)
    if count < 2:
        return None
    finite = math.sqrt(1 - count / slides)
    return float(stdtrit(count - 1, 0.975)) * statistics.stdev(seconds) / math.sqrt(count) * finite


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes, hours = seconds / 60, seconds / 3600
    return f"{minutes:.0f} min" if minutes < 120 else f"{hours:.0f} h" if hours < 48 else f"{hours / 24:,.1f} days"
