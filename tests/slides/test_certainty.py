"""Tests of the slide rule on a part of its tiles: exact errors, over every slide there could be."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import hypergeom

from cervix.bundle.manifest import SlideRule
from cervix.slides.certainty import calling_boundary, limits_of, would_stand
from cervix.slides.decision import TileCounts, finding_of, tile_shares

TILES, DRAWN, ERROR = 120, 60, 0.02
READ = SlideRule(
    minimum_tiles=16, false_positive_share=0.16, novel_share_limit=0.6, share_of="read", design_effect=3.0, chosen_by="made so"
)
ACCEPTED = READ.model_copy(update={"share_of": "accepted", "design_effect": 1.0})
RULES = pytest.mark.parametrize("rule", [READ, ACCEPTED], ids=["read", "accepted"])


def counts(tiles: int, cancerous: int, unknown: int = 0) -> TileCounts:
    return TileCounts(tiles, unknown, tiles - unknown, cancerous, 0)


def truth(cancerous: int, rule: SlideRule, unknown: int = 0) -> str:
    whole = counts(TILES, cancerous, unknown)
    return finding_of(whole, tile_shares(whole, rule), rule)


def chances(of: int, tiles: int = TILES, drawn: int = DRAWN) -> NDArray[np.float64]:
    """How probable each number of such tiles is among those drawn."""
    return np.asarray(hypergeom.pmf(np.arange(drawn + 1), tiles, of, drawn))


@RULES
def test_a_slide_of_any_share_is_decided_wrongly_on_at_most_the_error_and_clear_ones_are_decided(rule: SlideRule) -> None:
    decided = {}
    for finding in ("cancer", "few"):
        stands = np.array([would_stand(finding, counts(DRAWN, k), 0, TILES, rule, ERROR) for k in range(DRAWN + 1)])
        decided[finding] = np.array([chances(of)[stands].sum() for of in range(TILES + 1)])
        wrong = [decided[finding][of] for of in range(TILES + 1) if truth(of, rule) != finding]
        assert max(wrong) <= ERROR + 1e-12
        assert max(wrong) > ERROR / 20, "an error that is never made costs tiles"
    assert decided["cancer"][TILES // 2] > 0.95
    assert decided["few"][3] > 0.8, "unless none of them was drawn"


@RULES
def test_a_slide_that_would_be_abstained_from_is_answered_on_at_most_the_error(rule: SlideRule) -> None:
    cancerous = 10
    stands = np.array(
        [
            would_stand("cancer", counts(DRAWN, min(cancerous, DRAWN - x), x), 0, TILES, rule, ERROR)
            for x in range(DRAWN + 1)
        ]
    )  # fmt: skip
    limit = next(x for x in range(TILES) if x / TILES > rule.novel_share_limit)
    assert truth(20, rule, limit) == "unknown"
    assert chances(limit)[stands].sum() <= ERROR


@RULES
def test_the_boundary_is_the_fewest_cancerous_tiles_with_which_a_slide_is_called(rule: SlideRule) -> None:
    boundary = calling_boundary(TILES, rule)
    assert (truth(boundary - 1, rule), truth(boundary, rule)) == ("few", "cancer")


def test_where_no_number_of_cancerous_tiles_is_enough_a_slide_stays_undecided_for_certain() -> None:
    sure = READ.model_copy(update={"false_positive_share": 0.9999})
    assert calling_boundary(TILES, sure) == TILES + 1
    assert would_stand("few", counts(16, 16), 0, TILES, sure, ERROR)
    assert not would_stand("cancer", counts(TILES, TILES), 0, TILES, sure, ERROR)


def test_nothing_is_certain_of_other_findings_or_without_a_cancerous_tile() -> None:
    for finding in ("no-cancer", "unknown", "too-little", "too-few"):
        assert not would_stand(finding, counts(DRAWN, 0), 0, TILES, READ, ERROR)
    assert not would_stand("few", counts(DRAWN, 0), 0, TILES, READ, ERROR)


def test_tiles_that_may_yet_prove_unreadable_are_allowed_for() -> None:
    """The boundary of the tiles that can be read at least lies higher or lower than that of all."""
    whole = [k for k in range(1, 90) if would_stand("cancer", counts(90, k), 0, 1000, READ, ERROR)]
    assert whole == [k for k in range(1, 90) if all(_called(k, readable) for readable in (900, 1000))]
    assert would_stand("cancer", counts(90, 60), 10, 100, READ, ERROR), "all that can be read was"


def _called(cancerous: int, readable: int, drawn: int = 90, rule: SlideRule = READ, error: float = ERROR) -> bool:
    """The test by its definition: as many among those drawn of ``readable``, of which one too few are cancerous."""
    return bool(hypergeom.sf(cancerous - 1, readable, calling_boundary(readable, rule) - 1, drawn) <= error)


def test_limits_of_a_number_miss_it_as_rarely_as_is_said_and_are_no_wider_than_that() -> None:
    tiles, drawn = 40, 16
    limits = np.array([limits_of(k, drawn, tiles, ERROR) for k in range(drawn + 1)])
    missed = [chances(of, tiles, drawn)[(of < limits[:, 0]) | (of > limits[:, 1])].sum() for of in range(tiles + 1)]
    assert max(missed) <= ERROR
    assert max(missed) > ERROR / 2


def test_fewer_tiles_that_can_be_read_may_be_what_decides() -> None:
    """A few cancerous tiles stay few of all tiles sooner than of those that can be read at least, and are called of neither."""
    stands = {k: would_stand("few", counts(200, k), 0, 400, READ, ERROR) for k in range(1, 60)}
    of = {
        readable: {
            k: bool(hypergeom.cdf(k, readable, calling_boundary(readable, READ), 200) <= ERROR) for k in range(1, 60)
        }
        for readable in (360, 400)
    }  # fmt: skip
    assert of[360] != of[400]
    assert stands == {k: of[360][k] and of[400][k] for k in range(1, 60)}


UNREAD = 30
"""So many of 150 cannot be read that no more may: then the number of readable ones, 120, is known."""


def test_other_tissue_counts_as_unknown_and_a_share_at_the_limit_is_not_above_it() -> None:
    """The limit of 0.6 of 120 tiles is 72: 73 are too many."""
    alone = float(hypergeom.cdf(34, TILES, 73, DRAWN))
    assert alone < hypergeom.cdf(34, TILES, 72, DRAWN) / 1.1
    for unrecognised, other in ((34, 0), (0, 34), (17, 17)):
        seen = TileCounts(DRAWN, unrecognised, DRAWN - unrecognised, 24, other)
        assert would_stand("cancer", seen, UNREAD, TILES + UNREAD, READ, alone * 1.001)
        assert not would_stand("cancer", seen, UNREAD, TILES + UNREAD, READ, alone * 0.999)


def test_where_the_number_of_accepted_tiles_is_not_known_each_unknown_has_half_of_the_error() -> None:
    accepted, rule = 50, ACCEPTED.model_copy(update={"novel_share_limit": 0.99})
    differs = 0
    for error in (0.01, 0.02, 0.05, 0.1):
        sizes = limits_of(accepted, DRAWN, TILES, error / 2)
        halves, wholes = (
            [all(_called(k, size, accepted, ACCEPTED, part) for size in sizes) for k in range(1, accepted + 1)]
            for part in (error / 2, error)
        )
        differs += halves != wholes
        assert halves == [
            would_stand("cancer", counts(DRAWN, k, DRAWN - accepted), UNREAD, TILES + UNREAD, rule, error)
            for k in range(1, accepted + 1)
        ]
    assert differs
