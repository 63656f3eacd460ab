"""Who is found near, whose label is told, and what is left out and counted."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from numpy.typing import NDArray

from cervix.labels import LabelStore, Score, open_store
from cervix.labels.similar.found import Asked
from cervix.labels.similar.labelled import LabelledCases
from cervix.labels.store.cases import Scorer
from cervix.labels.store.label_store import SCORE_LOCK
from tests.labels.making import BUNDLE, CONFIDENT, SLIDES, TILE_PX, TILES, adjudicate, filled, label, tiles

SCORER = Scorer(BUNDLE, "1.2.3", "slide")
ADA, BEN = "Ada", "Ben"


def towards(degrees: float) -> NDArray[np.float32]:
    """A vector in a plane: a case lies as far from another as their angles differ."""
    return np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees)), 0, 0], np.float32)


def score(store: LabelStore, case: str, degrees: float, bundle: str = BUNDLE) -> None:
    store.add_scores([Score(case, "slide", bundle, "1.2.3", CONFIDENT, 3 * towards(degrees), 1.0)])


@pytest.fixture
def own(tmp_path: Path) -> Iterator[LabelStore]:
    """Twelve tiles of two slides; the first of a slide at 0 degrees, each next one ten degrees on."""
    with filled(open_store(f"sqlite:///{tmp_path / 'labels.sqlite'}")) as store:
        for at, case in enumerate(TILES):
            score(store, case, 10 * (at % 6))
        yield store


def labelled(store: LabelStore) -> LabelledCases:
    return LabelledCases(store, SCORER, "tile")


def test_the_nearest_labelled_cases_come_with_label_agreement_and_distance(own: LabelStore) -> None:
    label(own, TILES[1], ADA, "scc")
    label(own, TILES[1], BEN, "scc")
    for case, ben in ((TILES[4], "ac"), (TILES[2], "unsure")):
        label(own, case, ADA, "benign")
        label(own, case, BEN, ben)
    adjudicate(own, TILES[4], "ac")
    found = labelled(own).nearest(Asked(towards(0)), ADA)
    assert [(one.case_id, one.label, one.said, one.readers, one.settled) for one in found.neighbours] == [
        (TILES[1], "scc", 2, 2, False),
        (TILES[2], "benign", 1, 2, False),
        (TILES[4], "ac", 1, 2, True),
    ]
    expected = [1 - np.cos(np.radians(degrees)) for degrees in (10, 20, 40)]
    np.testing.assert_allclose([one.distance for one in found.neighbours], expected, atol=1e-6)
    assert (found.compared, found.unscored, found.kept_back) == (3, 0, 0)


def test_disputed_and_unlabelled_cases_are_none(own: LabelStore) -> None:
    label(own, TILES[0], ADA, "scc")
    label(own, TILES[0], BEN, "ac")
    label(own, TILES[1], ADA, "unusable")
    assert labelled(own).nearest(Asked(towards(0)), ADA).neighbours == []


def test_a_label_is_kept_back_from_a_reader_who_may_still_be_asked(own: LabelStore) -> None:
    label(own, TILES[1], ADA, "scc")
    label(own, TILES[2], ADA, "benign")
    label(own, TILES[2], BEN, "benign")
    cases = labelled(own)
    assert [one.case_id for one in cases.nearest(Asked(towards(0)), ADA).neighbours] == TILES[1:3]
    found = cases.nearest(Asked(towards(0)), BEN)
    assert ([one.case_id for one in found.neighbours], found.kept_back) == ([TILES[2]], 1)
    assert cases.nearest(Asked(towards(0)), "Cem").kept_back == 1, "whose case it is not, twice read, is told"
    label(own, TILES[1], BEN, "skip")
    assert cases.nearest(Asked(towards(0)), BEN).kept_back == 1, "a case that was skipped may come back"
    adjudicate(own, TILES[1], "scc")
    assert cases.nearest(Asked(towards(0)), BEN).kept_back == 0


def test_an_answer_taken_back_keeps_the_case_back_again(own: LabelStore) -> None:
    label(own, TILES[1], ADA, "scc")
    label(own, TILES[1], BEN, "scc")
    cases = labelled(own)
    assert cases.nearest(Asked(towards(0)), BEN).kept_back == 0
    own.undo(BEN)
    assert cases.nearest(Asked(towards(0)), BEN).kept_back == 1


def test_the_tile_itself_and_what_overlaps_it_are_left_out_and_its_neighbours_are_marked(own: LabelStore) -> None:
    for case in (TILES[0], TILES[1], TILES[6]):
        label(own, case, ADA, "scc")
    half_a_tile_on = Asked(towards(0), SLIDES[0], (-TILE_PX // 2, 0, TILE_PX))
    found = labelled(own).nearest(half_a_tile_on, ADA)
    assert [(one.case_id, one.same_group) for one in found.neighbours] == [(TILES[6], False), (TILES[1], True)]


def test_vectors_of_another_bundle_are_not_compared_but_counted(own: LabelStore) -> None:
    label(own, TILES[0], ADA, "scc")
    label(own, TILES[1], ADA, "scc")
    score(own, TILES[1], 0, bundle="e" * 64)
    other = LabelledCases(own, replace(SCORER, bundle_sha256="e" * 64), "tile")
    found = other.nearest(Asked(towards(0)), ADA)
    assert ([one.case_id for one in found.neighbours], found.unscored) == ([TILES[1]], 1)
    assert other.unscored() == [TILES[0]]
    score(own, TILES[0], 0, bundle="e" * 64)
    assert other.nearest(Asked(towards(0)), ADA).unscored == 0


def test_a_case_scored_again_lies_where_its_newest_score_puts_it(own: LabelStore) -> None:
    label(own, TILES[5], ADA, "scc")
    cases = labelled(own)
    assert cases.nearest(Asked(towards(0)), ADA).neighbours[0].distance > 0.3
    score(own, TILES[5], 0)
    assert cases.nearest(Asked(towards(0)), ADA).neighbours[0].distance == pytest.approx(0, abs=1e-6)


def test_a_case_whose_newest_score_has_no_direction_is_not_compared_by_an_older_one(own: LabelStore) -> None:
    label(own, TILES[5], ADA, "scc")
    cases = labelled(own)
    assert cases.nearest(Asked(towards(0)), ADA).compared == 1
    for degrees in (float("nan"), float("inf")):
        score(own, TILES[4], 0)
        own.add_scores([Score(TILES[5], "slide", BUNDLE, "1.2.3", CONFIDENT, np.full(4, degrees, np.float32), 1.0)])
        found = cases.nearest(Asked(towards(0)), ADA)
        assert (found.compared, found.unscored) == (0, 1)
    score(own, TILES[5], 0)
    assert cases.nearest(Asked(towards(0)), ADA).neighbours[0].distance == pytest.approx(0, abs=1e-6)


def test_a_vector_without_a_direction_or_of_another_length_counts_as_unscored(own: LabelStore) -> None:
    for case in TILES[:3]:
        label(own, case, ADA, "scc")
    cases = labelled(own)
    new = [Score(TILES[0], "slide", "d" * 64, "1", CONFIDENT, vector) for vector in (towards(0) * 0,)]
    new.append(Score(TILES[1], "slide", "d" * 64, "1", CONFIDENT, np.ones(7, np.float32)))
    own.add_scores([Score(TILES[2], "slide", "d" * 64, "1", CONFIDENT, towards(0)), *new])
    odd = LabelledCases(own, replace(SCORER, bundle_sha256="d" * 64), "tile")
    assert odd.unscored() == TILES[:2]
    assert odd.nearest(Asked(np.ones(7, np.float32)), ADA).neighbours == []
    assert cases.nearest(Asked(towards(0) * 0), ADA).neighbours == []


def test_what_is_at_right_angles_is_not_similar(own: LabelStore) -> None:
    label(own, TILES[0], ADA, "scc")
    found = labelled(own).nearest(Asked(-towards(0)), ADA)
    assert (found.neighbours, found.beyond, found.compared) == ([], 1, 1)
    assert found.nearest == pytest.approx(2)


def test_nothing_is_similar_to_what_lies_farther_off_than_labelled_cases_from_each_other(own: LabelStore) -> None:
    own.add_cases(tiles(10))
    alike = [case.id for case in tiles(10)]
    for at, case in enumerate(alike):
        score(own, case, at / 10)
        label(own, case, ADA, "benign")
    cases = labelled(own)
    assert len(cases.nearest(Asked(towards(1)), ADA).neighbours) == 12
    far = cases.nearest(Asked(towards(30)), ADA)
    assert (far.neighbours, far.beyond, far.compared) == ([], 12, 20)
    assert 0 < far.limit < 0.001


def test_shares_have_intervals_as_wide_as_there_are_slides(own: LabelStore) -> None:
    for case, said in zip(TILES[:4], ("scc", "scc", "scc", "benign"), strict=True):
        label(own, case, ADA, said)
    found = labelled(own).nearest(Asked(towards(0)), ADA)
    share = found.shares()
    assert (list(share), share["scc"].value, found.groups) == (["scc", "benign"], 0.75, 1)
    assert share["scc"].high - share["scc"].low > 0.7, "four tiles of one slide tell little more than one"


def test_a_case_of_the_store_is_asked_about_without_itself(own: LabelStore) -> None:
    label(own, TILES[0], ADA, "scc")
    label(own, TILES[1], ADA, "ac")
    cases = labelled(own)
    asked = cases.asked_case(TILES[0])
    assert asked is not None
    assert [one.case_id for one in cases.nearest(asked, ADA).neighbours] == [TILES[1]]
    assert cases.asked_case("tile:none:0:0:448") is None


def test_scores_of_two_servers_get_their_ids_in_the_order_in_which_others_see_them(store: LabelStore) -> None:
    """On both databases: whoever has read up to an id would never see a lower one that came later."""
    with store.database.writing() as other:
        store.database.hold(other, SCORE_LOCK)
        adding = Thread(target=score, args=(store, TILES[0], 0))
        adding.start()
        adding.join(0.3)
        assert adding.is_alive(), "it waits for whoever adds scores already"
    adding.join(20)
    assert not adding.is_alive()


def test_the_store_gives_vectors_in_the_order_in_which_they_came(store: LabelStore) -> None:
    """On both databases."""
    for degrees in (0, 90):
        score(store, TILES[0], degrees)
    ((ids, cases, held),) = store.vectors(SCORER, "tile")
    assert (cases, ids[-1]) == ([TILES[0]] * 2, store.last_score_id())
    np.testing.assert_array_equal(np.frombuffer(held[1], "<f4"), 3 * towards(90))
    assert list(store.vectors(SCORER, "tile", store.last_score_id())) == []
    assert list(store.vectors(SCORER, "patient")) == []
