"""The slide rule: called, cleared, undecided or silent, each with its reason."""

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from cervix.bundle import Bundle, Model
from cervix.bundle.manifest import SlideRule
from cervix.intervals import wilson_interval
from cervix.slides.decision import VERDICTS, SlideAnswer, TileCounts, count_tiles, decide, finding_of, tile_shares
from tests.bundle.made import FOUR

KNOWN, NOVEL = 1.0, 1e6
BENIGN, SCC, AC, WAVERING = [0.98, 0.01, 0.01, 0], [0.02, 0.9, 0.08, 0], [0.02, 0.08, 0.9, 0], [0, 0.5, 0.5, 0]


def answer(bundle: Bundle, *, benign: int = 0, scc: int = 0, ac: int = 0, novel: int = 0) -> SlideAnswer:
    rows: list[NDArray[np.float64]] = []
    for count, row in ((benign, BENIGN), (scc, SCC), (ac, AC), (novel, WAVERING)):
        rows += [np.array(row)] * count
    novelty = np.array([KNOWN] * (benign + scc + ac) + [NOVEL] * novel)
    return decide(np.stack(rows), novelty, bundle.session_of("tile").model)


def test_mostly_squamous_tiles_make_a_squamous_carcinoma(bundle: Bundle) -> None:
    found = answer(bundle, benign=20, scc=60, ac=20)
    assert (found.verdict, found.headline) == ("cancer", "Squamous-cell carcinoma")
    assert found.cancerous_share is not None
    assert found.cancerous_share.value == pytest.approx(0.8)
    assert "60 of these look most like squamous-cell carcinoma" in found.reason


def test_mostly_glandular_tiles_make_an_adenocarcinoma(bundle: Bundle) -> None:
    assert answer(bundle, benign=20, scc=20, ac=60).headline == "Adenocarcinoma"


def test_only_a_slide_without_any_cancerous_tile_is_free_of_them(bundle: Bundle) -> None:
    assert answer(bundle, benign=200).verdict == "no-cancer"


@pytest.mark.parametrize("few", [1, 2, 30])
def test_a_small_tumour_is_never_cleared(bundle: Bundle, few: int) -> None:
    assert answer(bundle, benign=1000, scc=few).verdict == "undecided"


def test_between_the_limits_it_is_undecided(bundle: Bundle) -> None:
    assert answer(bundle, benign=16, scc=4).verdict == "undecided"


def test_mostly_novel_tiles_silence_the_model(bundle: Bundle) -> None:
    found = answer(bundle, scc=20, novel=30)
    assert found.verdict == "abstained"
    assert "60 % of tiles not recognised." in found.reason
    assert found.cancerous_share is None


def test_only_novel_tiles_give_no_share(bundle: Bundle) -> None:
    assert answer(bundle, novel=20).cancerous_share is None


def test_too_few_tiles_silence_the_model(bundle: Bundle) -> None:
    found = answer(bundle, scc=7)
    assert found.headline == "No answer: too little tissue"
    assert found.cancerous_share is None, "a share of a refused slide would contradict the refusal"


def test_every_answer_says_how_many_tiles_were_not_recognised(bundle: Bundle) -> None:
    assert "0 % of tiles not recognised." in answer(bundle, scc=60).sentence
    assert "9 % of tiles not recognised." in answer(bundle, benign=91, novel=9).sentence
    assert "Less than 1 % of tiles not recognised." in answer(bundle, benign=1000, novel=1).sentence
    assert "0 % of tiles not recognised." in answer(bundle, scc=7).sentence


def test_tiles_that_could_not_be_read_are_neither_benign_nor_known(bundle: Bundle) -> None:
    model = bundle.session_of("tile").model
    rows = np.array([BENIGN] * 20 + [[np.nan] * 4] * 5)
    found = decide(rows, np.array([KNOWN] * 20 + [np.nan] * 5), model)
    assert (found.tiles, found.unread_tiles, found.accepted_tiles, found.unrecognised_tiles) == (20, 5, 20, 0)
    assert found.class_tiles["benign"] == 20
    assert "5 tiles could not be read (of 25)." in found.sentence
    assert decide(np.full((9, 4), np.nan), np.full(9, np.nan), model).verdict == "abstained"


def test_a_tile_is_recognised_within_the_limit_and_with_numbers_only(bundle: Bundle) -> None:
    model = bundle.session_of("tile").model
    limit = model.abstention_limit("novelty")
    novelty = np.array([limit, np.nextafter(limit, np.inf), np.nan, 0.0, np.inf])
    said = np.full((5, 3), 1 / 3)
    said[3, 1] = np.nan
    assert model.is_recognised(novelty, said).tolist() == [True, False, False, False, False]


def test_novel_tiles_do_not_vote(bundle: Bundle) -> None:
    assert answer(bundle, benign=200, novel=50).cancerous_tiles == 0


FITTED = SlideRule(
    minimum_tiles=16, false_positive_share=0.08, novel_share_limit=0.9, share_of="read", design_effect=3.2,
    missed_share_limit=0.5, chosen_by="made so",
)  # fmt: skip
SUSPICION = {"no-cancer": 0, "undecided": 1, "cancer": 2}
SHARES = {"benign": (0.98, 0.01, 0.005, 0.005), "other": (0.1, 0.7, 0.1, 0.1), "cancer": (0.02, 0.08, 0.8, 0.1)}


def counted(rule: SlideRule, *, benign: int = 0, cancer: int = 0, other: int = 0, novel: int = 0) -> str:
    """The verdict on so many tiles of each kind."""
    counts = TileCounts(benign + cancer + other + novel, novel, benign + cancer + other, cancer, other)
    return VERDICTS[finding_of(counts, tile_shares(counts, rule), rule)]


def with_rule(model: Model, **changes: object) -> Model:
    assert model.slide_rule is not None
    return model.model_copy(update={"slide_rule": model.slide_rule.model_copy(update=changes)})


@pytest.mark.parametrize(
    ("tiles", "finding"),
    [
        ({"benign": 15}, "abstained"),
        ({"benign": 16}, "no-cancer"),
        ({"benign": 12, "novel": 36}, "undecided"),  # 12 tiles are worth 3.75: up to 51 % of them could be cancerous
        ({"benign": 13, "novel": 36}, "no-cancer"),
        ({"benign": 300, "cancer": 1}, "undecided"),
        ({"benign": 80, "cancer": 20}, "cancer"),  # 20 % of what 31 tiles tell: from 9.7 %
        ({"benign": 82, "cancer": 18}, "cancer"),
        ({"benign": 84, "cancer": 16}, "undecided"),
        ({"cancer": 16, "novel": 84}, "undecided"),  # all that are recognised, and still few of what was read
        ({"cancer": 10, "novel": 90}, "undecided"),
        ({"cancer": 9, "novel": 91}, "abstained"),
        ({"other": 91, "benign": 9}, "abstained"),
        ({"other": 91, "cancer": 9}, "abstained"),
        ({"other": 80, "benign": 20}, "no-cancer"),
        ({"other": 90, "benign": 10}, "undecided"),
        ({"other": 200}, "abstained"),
    ],
)
def test_a_fitted_rule_answers_as_worked_out_by_hand(tiles: Mapping[str, int], finding: str) -> None:
    assert counted(FITTED, **tiles) == finding


def test_a_bundle_that_says_nothing_of_neighbours_is_answered_as_it_always_was() -> None:
    old = SlideRule(minimum_tiles=8, false_positive_share=0.1, novel_share_limit=0.5, chosen_by="made so")
    assert counted(old, benign=4, novel=4) == "no-cancer"
    assert counted(old, cancer=8, benign=32) == "cancer", "from 10.5 % where 40 tiles are independent"
    assert counted(old.model_copy(update={"design_effect": 1.2}), cancer=8, benign=32) == "undecided"


def test_the_interval_is_that_of_the_independent_tiles_which_neighbours_are_worth(bundle: Bundle) -> None:
    model = with_rule(bundle.session_of("tile").model, design_effect=4.0, share_of="read")
    rows = np.array([BENIGN] * 20 + [SCC] * 60 + [WAVERING] * 20)
    found = decide(rows, np.array([KNOWN] * 80 + [NOVEL] * 20), model)
    assert found.cancerous_share == wilson_interval(60, 100, effective_n=25)
    assert found.counted == "100 read"
    assert "4.0 of them count as one independent tile" in found.rule
    assert "of all tiles that were read" in found.rule
    assert "treated as independent" not in found.rule


def test_too_few_tiles_to_rule_carcinoma_out_are_undecided_and_say_how_much_could_be_missed(bundle: Bundle) -> None:
    model = with_rule(bundle.session_of("tile").model, missed_share_limit=0.1)
    found = decide(np.array([BENIGN] * 20), np.full(20, KNOWN), model)
    assert found.verdict == "undecided"
    assert "up to 16 % of them could be" in found.reason
    assert decide(np.array([BENIGN] * 40), np.full(40, KNOWN), model).verdict == "no-cancer"


def test_accepted_tiles_of_other_tissue_count_neither_way(four_class_bundle: Bundle) -> None:
    model = four_class_bundle.session_of("tile").model
    mostly = np.array([SHARES["other"]] * 60 + [SHARES["benign"]] * 40)
    found = decide(mostly, np.full(100, KNOWN), model)
    assert (found.verdict, found.headline) == ("abstained", "No answer: not tissue the model knows")
    assert "60 accepted tiles most like dysplasia: not cancerous, and no sign that there is none." in found.reason
    assert decide(mostly[20:], np.full(80, KNOWN), model).verdict == "no-cancer"
    assert decide(mostly[:60], np.full(60, KNOWN), model).verdict == "abstained"


def test_tiles_are_counted_by_what_they_look_most_like() -> None:
    rows = np.array([*SHARES.values(), (0.3, 0.4, 0.2, 0.1), (0.1, 0.3, 0.3, 0.3), (1, 0, 0, 0), (np.nan,) * 4])
    novelty = np.array([KNOWN] * 5 + [NOVEL, np.nan])
    assert count_tiles(rows, novelty, FOUR, 0.5, 2.0) == TileCounts(scored=6, unrecognised=1, accepted=5, cancerous=2, other=2)


@given(
    st.integers(0, 300), st.integers(0, 300), st.integers(0, 100), st.integers(0, 300), st.integers(1, 50), st.floats(1, 10),
    st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.sampled_from(["accepted", "read"]), st.booleans(),
)  # fmt: skip
def test_more_carcinoma_never_makes_a_slide_less_suspicious(
    benign: int, cancer: int, other: int, novel: int, more: int, effect: float, share: float, novel_share: float, missed: float,
    share_of: str, instead: bool,
) -> None:  # fmt: skip
    """Whether benign tiles become cancerous or cancerous ones are added."""
    rule = SlideRule(
        minimum_tiles=8, false_positive_share=share, novel_share_limit=novel_share, share_of=share_of,  # type: ignore[arg-type]
        design_effect=effect, missed_share_limit=missed, chosen_by="",
    )  # fmt: skip
    more = min(more, benign) if instead else more
    before = counted(rule, benign=benign, cancer=cancer, other=other, novel=novel)
    after = counted(rule, benign=benign - more * instead, cancer=cancer + more, other=other, novel=novel)
    if before != "abstained":
        assert SUSPICION[after] >= SUSPICION[before]
    elif after == "no-cancer":
        pytest.fail("a slide was cleared by carcinoma")


@given(st.integers(0, 300), st.integers(0, 300), st.integers(0, 300), st.integers(1, 300), st.booleans())
def test_tiles_that_say_nothing_never_call_or_clear_a_slide(
    benign: int, cancer: int, novel: int, more: int, strange: bool
) -> None:
    """Other tissue and strange pictures alike."""
    tiles = {"novel": novel + more} if strange else {"novel": novel, "other": more}
    before, after = (counted(FITTED, benign=benign, cancer=cancer, **each) for each in ({"novel": novel}, tiles))
    if benign + cancer + novel >= FITTED.minimum_tiles:
        assert after in (before, "undecided", "abstained")
    if not benign + cancer:
        assert after == "abstained"
