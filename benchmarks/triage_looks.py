"""What a triage would need with other looks, or with a confidence sequence: tiles until a slide of known counts is decided."""

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import betaln, gammaln
from scipy.stats import hypergeom

from cervix.bundle import load_bundle
from cervix.settings import PROJECT_ROOT
from cervix.slides.certainty import at_least, at_most, calling_boundary
from cervix.slides.sweep import ERROR

TILES, FIRST_LOOK, ORDERS_A_RUN = 5000, 200, 50
HALF, SAWTEETH = 0.5, (0, 10, 20, 40)
"""Numbers are whole, so power falls a little now and then where there are more tiles."""
GROWTHS = (1.2, 1.5, 2.0)
SHARES = (0.1, 0.14, 0.22, 0.25, 0.3)


def triage_looks(runs: int) -> pd.DataFrame:
    """One row a share of cancerous tiles among 5,000: mean tiles needed by looks that grow so much, and by the sequence.

    Tiles are drawn at random; the boundary is that of the shipped rule. The sequence is the one of Waudby-Smith and Ramdas
    (2020, NeurIPS 33, theorem 2.1) with a uniform prior, asked after every eighth tile. ``least``: with fewer tiles the most
    powerful test of this error decides less than half of such slides, though it is asked once only.
    """
    rule = load_bundle(PROJECT_ROOT / "bundle", device="cpu").session_of("tile").model.slide_rule
    assert rule is not None, "a tile model declares its slide rule"
    boundary, random = calling_boundary(TILES, rule), np.random.default_rng(1)
    rows = []
    for share in SHARES:
        cancerous = np.arange(TILES) < round(share * TILES)
        seen = [np.cumsum(random.permutation(cancerous)) for _ in range(ORDERS_A_RUN * runs)]
        row: dict[str, object] = {"share": f"{share:.0%}", "boundary": f"{boundary / TILES:.1%}", "orders": len(seen)}
        for growth in GROWTHS:
            row[f"looks x {growth:g}"] = round(float(np.mean([_with_looks(one, boundary, growth) for one in seen])))
        row["least"] = _least(round(share * TILES), boundary)
        row["confidence sequence"] = round(float(np.mean([_with_sequence(one, boundary) for one in seen])))
        rows.append(row)
    return pd.DataFrame(rows)


def _least(cancerous: int, boundary: int) -> int:
    """The fewest tiles with which one look at the whole error decides at least half of the slides with so many cancerous.

    The likelihood ratio of the hypergeometric distribution is monotone, so no test of that error does better (Lehmann and
    Romano 2005, Testing Statistical Hypotheses, 3.4).
    """

    def decides(drawn: int) -> bool:
        if cancerous >= boundary:
            enough = int(hypergeom.isf(ERROR, TILES, boundary - 1, drawn)) + 1
            return at_least(enough, cancerous, TILES, drawn) >= HALF
        few = int(hypergeom.ppf(ERROR, TILES, boundary, drawn)) - 1
        return few >= 0 and at_most(few, cancerous, TILES, drawn) >= HALF

    return next(drawn for drawn in range(1, TILES) if all(decides(drawn + more) for more in SAWTEETH if drawn + more <= TILES))


def _with_looks(seen: NDArray[np.int64], boundary: int, growth: float) -> int:
    looks = [FIRST_LOOK]
    while looks[-1] < TILES:
        looks.append(min(TILES, math.ceil(looks[-1] * growth)))
    error = ERROR / (len(looks) - 1)
    for look in looks[:-1]:
        cancerous = int(seen[look - 1])
        called = seen[-1] >= boundary
        if (at_least(cancerous, boundary - 1, TILES, look) if called else at_most(cancerous, boundary, TILES, look)) <= error:
            return look
    return TILES


def _with_sequence(seen: NDArray[np.int64], boundary: int) -> int:
    drawn = np.arange(FIRST_LOOK, TILES, 8)
    cancerous = seen[drawn - 1]
    rest = (boundary - 1 if seen[-1] >= boundary else boundary) - cancerous
    possible = (rest >= 0) & (rest <= TILES - drawn)
    log_posterior = np.full(len(drawn), -np.inf)
    n, k, more = drawn[possible], cancerous[possible], rest[possible]
    left = TILES - n
    ways = gammaln(left + 1) - gammaln(more + 1) - gammaln(left - more + 1)
    log_posterior[possible] = ways + betaln(k + 1 + more, n - k + 1 + left - more) - betaln(k + 1, n - k + 1)
    sure = np.flatnonzero(-np.log(TILES + 1) - log_posterior >= -np.log(ERROR))
    return int(drawn[sure[0]]) if len(sure) else TILES
