"""The slide rule: called, cleared, undecided or silent, each with its reason."""

import numpy as np
import pytest
from numpy.typing import NDArray

from cervix.bundle import Bundle
from cervix.slides.decision import SlideAnswer, decide

KNOWN, NOVEL = 1.0, 1e6


def answer(bundle: Bundle, *, benign: int = 0, scc: int = 0, ac: int = 0, novel: int = 0) -> SlideAnswer:
    rows: list[NDArray[np.float64]] = []
    for count, row in ((benign, (0.98, 0.01, 0.01)), (scc, (0.02, 0.9, 0.08)), (ac, (0.02, 0.08, 0.9)), (novel, (0, 0.5, 0.5))):
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
    rows = np.array([[0.98, 0.01, 0.01]] * 20 + [[np.nan] * 3] * 5)
    found = decide(rows, np.array([KNOWN] * 20 + [np.nan] * 5), model)
    assert (found.tiles, found.unread_tiles, found.accepted_tiles, found.unrecognised_tiles) == (20, 5, 20, 0)
    assert found.class_tiles["benign"] == 20
    assert "5 tiles could not be read (of 25)." in found.sentence
    assert decide(np.full((9, 3), np.nan), np.full(9, np.nan), model).verdict == "abstained"


def test_a_tile_is_recognised_within_the_limit_and_with_numbers_only(bundle: Bundle) -> None:
    model = bundle.session_of("tile").model
    limit = model.abstention_limit("novelty")
    novelty = np.array([limit, np.nextafter(limit, np.inf), np.nan, 0.0, np.inf])
    said = np.full((5, 3), 1 / 3)
    said[3, 1] = np.nan
    assert model.is_recognised(novelty, said).tolist() == [True, False, False, False, False]


def test_novel_tiles_do_not_vote(bundle: Bundle) -> None:
    assert answer(bundle, benign=200, novel=50).cancerous_tiles == 0
