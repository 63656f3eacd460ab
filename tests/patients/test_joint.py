"""A scored slide beside a history: three risks, of which two do not listen to the other side."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from cervix.bundle import Bundle
from cervix.patients.joint import joint_risk
from cervix.patients.visits import read_visits
from cervix.slides.embedding import TILES_READ, telling_embeddings
from cervix.slides.scoring import SlideScore, score_slide
from cervix.sources.opening import open_slide
from cervix.sources.slide import Slide

HEADER = "patient_id,visit_date,age,cytology,hpv_result,hpv_16,histology,treatment\n"
CALM = "A,2015-01-01,31,NILM,negative,negative,,\nA,2018-01-01,34,NILM,negative,negative,{},\n"
ALARMING = "A,2015-01-01,31,NILM,positive,positive,,\nA,2018-01-01,34,HSIL,positive,positive,,\n"


def visits_of(text: str) -> pd.DataFrame:
    return read_visits((HEADER + text).encode()).frame


@pytest.fixture(scope="module")
def scored(carcinoma_slide: Path, bundle: Bundle) -> tuple[Slide, SlideScore]:
    slide = open_slide(carcinoma_slide)
    return slide, score_slide(slide, bundle)


@pytest.fixture(scope="module")
def embeddings(scored: tuple[Slide, SlideScore], bundle: Bundle) -> NDArray[np.float32]:
    return telling_embeddings(*scored, bundle.session_of("tile"))


def test_only_known_tiles_are_read_and_no_more_than_a_dozen(embeddings: NDArray[np.float32]) -> None:
    assert 0 < len(embeddings) <= TILES_READ
    assert embeddings.shape[1] == 512
    assert np.isfinite(embeddings).all()


def test_each_side_alone_listens_to_its_own_side(embeddings: NDArray[np.float32], bundle: Bundle) -> None:
    session = bundle.session("hybrid")
    calm, alarming = (joint_risk(visits_of(text), embeddings, session) for text in (CALM.format(""), ALARMING))
    assert calm.slide == pytest.approx(alarming.slide, abs=1e-6)
    assert calm.history < alarming.history
    assert calm.joint < alarming.joint
    other = joint_risk(visits_of(ALARMING), embeddings[::-1] * np.float32(1.5), session)
    assert other.history == pytest.approx(alarming.history, abs=1e-6)
    assert other.slide != pytest.approx(alarming.slide, abs=1e-6)
    assert alarming.lowest <= alarming.joint <= alarming.highest
    assert alarming.tiles == len(embeddings)


def test_the_slides_own_diagnosis_is_not_told(embeddings: NDArray[np.float32], bundle: Bundle) -> None:
    """A biopsy's histology comes after its slide; without hiding it the answer would give itself away."""
    session = bundle.session("hybrid")
    told, untold = (joint_risk(visits_of(CALM.format(code)), embeddings, session) for code in ("CIN3", ""))
    assert told == untold


def test_without_a_known_tile_only_the_history_answers(embeddings: NDArray[np.float32], bundle: Bundle) -> None:
    session = bundle.session("hybrid")
    risk = joint_risk(visits_of(ALARMING), np.empty((0, 512), np.float32), session)
    assert risk.history == pytest.approx(joint_risk(visits_of(ALARMING), embeddings, session).history, abs=1e-6)
    assert np.isnan([risk.joint, risk.slide, risk.lowest, risk.highest]).all()
    assert risk.tiles == 0


def test_a_slide_of_unknown_tissue_has_no_telling_tile(scored: tuple[Slide, SlideScore], bundle: Bundle) -> None:
    slide, score = scored
    unknown = replace(score, tiles=score.tiles.assign(novelty=1e9))
    assert len(telling_embeddings(slide, unknown, bundle.session_of("tile"))) == 0
