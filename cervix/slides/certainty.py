"""Whether all tiles of a slide would be answered as some of them are: tests of the slide rule on samples without replacement.

The full score of a slide with ``S`` readable tiles is a fixed answer to fixed counts: ``K`` tiles called cancerous, ``X``
that say nothing (not recognised, or of other tissue). The rule calls the slide when ``X`` is within its limit and ``K`` at
least the boundary, the smallest number whose whole interval lies above the false-positive share; below it the slide is
undecided. What is tested is on which side of these numbers the slide lies, not what its tissue is: the rule's design effect
is in the boundary already, and tiles that are alike need no more than that, because the sample is drawn by the order and
not by the tissue.

Of ``n`` tiles drawn without replacement, the number called is hypergeometric. So "the slide is not called" is rejected when
at least as many as were seen would be seen of ``boundary - 1`` with a probability of at most the error, and "it is called"
when at most as many would be seen of ``boundary``: the most favourable ``K`` of the other side, since the likelihood ratio
is monotone (Lehmann and Romano 2005, Testing Statistical Hypotheses, 3.4). "It is abstained from" is rejected likewise at
the smallest ``X`` above the limit. For any slide only one of these rejections is a mistake, so each may have the whole
error.
"""

from bisect import bisect_left
from collections.abc import Callable
from math import ceil, floor

from cervix.bundle.manifest import SlideRule
from cervix.slides.decision import Finding, TileCounts, tile_shares
from cervix.sources.damage import TOUCHED_BY_ONE, UNREAD_SHARE_AT_MOST

PARTS_OF_ERROR = 2
"""Where the share is of accepted tiles, whose number is not known either: half the error for that, half for the share."""


def would_stand(finding: Finding, seen: TileCounts, unread: int, planned: int, rule: SlideRule, error: float) -> bool:
    """Whether all tiles give this finding, but for a probability of at most ``error`` over the order in which they were seen.

    Parameters
    ----------
    finding : ``cancer`` or ``few``; of any other nothing is known before every tile was seen, and the answer is no
    seen : TileCounts
        Of tiles seen in random order.
    unread : int
        Tiles of that order that could not be read.
    planned : int
        All tiles of the slide.
    error : float
        0..1, of this one look.
    """
    if finding not in ("cancer", "few") or not seen.cancerous:
        return False
    # How many more cannot be read is not known; more than a tenth, and the slide is refused.
    fewest = max(seen.scored, min(planned - unread, ceil(planned - max(UNREAD_SHARE_AT_MOST * planned, TOUCHED_BY_ONE))))
    return all(_stands(finding, seen, readable, rule, error) for readable in (fewest, planned - unread))


def _stands(finding: Finding, seen: TileCounts, readable: int, rule: SlideRule, error: float) -> bool:
    too_strange = _fewest_above(rule.novel_share_limit, readable)
    if at_most(seen.unrecognised + seen.other, too_strange, readable, seen.scored) > error:
        return False
    if rule.share_of == "read":
        return _share_stands(finding, seen.cancerous, seen.scored, readable, rule, error)
    error /= PARTS_OF_ERROR
    accepted = limits_of(seen.accepted, seen.scored, readable, error)
    return all(_share_stands(finding, seen.cancerous, seen.accepted, size, rule, error) for size in accepted)


def _share_stands(finding: Finding, cancerous: int, drawn: int, size: int, rule: SlideRule, error: float) -> bool:
    boundary = calling_boundary(size, rule)
    if finding == "cancer":
        return at_least(cancerous, boundary - 1, size, drawn) <= error
    return at_most(cancerous, boundary, size, drawn) <= error


def calling_boundary(tiles: int, rule: SlideRule) -> int:
    """The fewest cancerous ones of so many tiles with which a slide is called; one more than there are where none suffice."""

    def called(cancerous: int) -> bool:
        share = tile_shares(TileCounts(tiles, 0, tiles, cancerous, 0), rule).cancerous
        return share is not None and share.low > rule.false_positive_share

    return bisect_left(range(1, tiles + 1), True, key=called) + 1


def at_least(seen: int, of: int, size: int, drawn: int) -> float:
    """The probability that ``drawn`` of ``size`` tiles hold at least ``seen`` of the ``of`` that are there."""
    from scipy.stats import hypergeom  # slow to import, and a sweep of every tile never asks

    return float(hypergeom.sf(seen - 1, size, min(of, size), drawn))


def at_most(seen: int, of: int, size: int, drawn: int) -> float:
    """The probability that they hold at most so many; 0 where there are not as many tiles as ``of``."""
    from scipy.stats import hypergeom

    return float(hypergeom.cdf(seen, size, of, drawn)) if of <= size else 0.0


def limits_of(seen: int, drawn: int, size: int, error: float) -> tuple[int, int]:
    """The fewest and the most of ``size`` tiles of which ``seen`` of ``drawn`` can be expected (Clopper and Pearson 1934,
    Biometrika 26:404-413, for the hypergeometric distribution), each missed with a probability of at most half the error."""
    possible = range(seen, size - (drawn - seen) + 1)

    def first(holds: Callable[[int], bool]) -> int:
        return bisect_left(possible, True, key=holds)

    fewest = first(lambda of: at_least(seen, of, size, drawn) > error / 2)
    beyond = first(lambda of: at_most(seen, of, size, drawn) <= error / 2)
    return possible[fewest], possible[max(beyond - 1, 0)]


def _fewest_above(share: float, of: int) -> int:
    """The smallest number whose share of ``of`` is above ``share``, compared as the rule compares it."""
    number = floor(share * of)
    return number if number / of > share else number + 1
