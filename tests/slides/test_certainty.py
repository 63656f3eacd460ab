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


def _called(cancerous: int, readable: int) -> bool:
    """The test by its definition: as many among 90 of ``readable``, of which one too few are cancerous."""
    return bool(hypergeom.sf(cancerous - 1, readable, calling_boundary(readable, READ) - 1, 90) <= ERROR)


def test_limits_of_a_number_miss_it_as_rarely_as_is_said_and_are_no_wider_than_that() -> None:
    tiles, drawn = 40, 16
    limits = np.array([limits_of(k, drawn, tiles, ERROR) for k in range(drawn + 1)])
    missed = [chances(of, tiles, drawn)[(of < limits[:, 0]) | (of > limits[:, 1])].sum() for of in range(tiles + 1)]
    assert max(missed) <= ERROR
    assert max(missed) > ERROR / 2
