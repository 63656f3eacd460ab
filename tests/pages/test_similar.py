"""Similar labelled cases on the pages Slide and Patient, and where a dispute is settled."""

import hashlib
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from cervix.bundle import Bundle
from cervix.labels import LabelStore, Score, open_store, tile_case
from cervix.labels.gathering.tiles import keep_cases
from cervix.labels.gathering.women import gather_patients, pseudonym
from cervix.labels.store.cases import PATIENT_LABELS
from cervix.patients.visit_sample import sample_visits_csv
from cervix.patients.visits import VisitTable, read_table
from cervix.people import Person
from cervix.samples.cases import cases_by_id
from cervix.settings import get_settings
from cervix.sources.opening import open_slide
from tests.labels.making import SLIDES, label
from tests.pages.opening import PATIENCE_S, look_at, open_page, scored, texts, turn_to

ME, ADA = "local reader", "Ada"


@pytest.fixture
def store(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LabelStore]:
    """The app's own store, empty; a label shows at once."""
    assert not home.exists()
    monkeypatch.setattr("pages.parts.shared.similar.HELD_FOR_S", 0.0)
    with open_store(get_settings().label_store_url) as opened:
        yield opened


def tiles_like(store: LabelStore, bundle: Bundle, slide: Path, count: int) -> list[str]:
    """So many tiles of another slide, with pixels of this one, scored by the bundle."""
    session = bundle.session_of("tile")
    assert session.model.tiles is not None
    side = session.model.tiles.size_px
    opened = open_slide(slide)
    cases = [
        tile_case(SLIDES[0], side * at, 0, side, 0.5, np.asarray(opened.read_tile(300 + at, 300, 0, side, side)))
        for at in range(count)
    ]
    told = session.run({"tiles": np.stack([case.picture for case in cases])}, ["embedding"])["embedding"]
    even = dict.fromkeys(session.model.class_ids, 1 / len(session.model.class_ids))
    scores = [
        Score(case.id, session.model.id, bundle.sha256, "1", even, vector, 1.0)
        for case, vector in zip(cases, told, strict=True)
    ]
    keep_cases(store, "tile", session.model.class_ids, (cases, scores), ME)
    return [case.id for case in cases]


def opened_part(app: AppTest) -> str:
    """What the part says once it is opened, its pictures included."""
    app.session_state["slide_similar"] = True
    app.run()
    assert not app.exception
    return texts(app) + "".join(str(block.proto.body) for block in app.get("html"))


def test_a_tile_is_shown_beside_labelled_tiles_that_look_alike(
    store: LabelStore, bundle: Bundle, carcinoma_slide: Path
) -> None:
    ids = tiles_like(store, bundle, carcinoma_slide, 4)
    app = scored(carcinoma_slide)
    assert "No tile has been labelled here yet" in opened_part(app)
    for case in ids[:3]:
        label(store, case, ME, "scc")
    label(store, ids[0], ADA, "scc")
    label(store, ids[3], ADA, "benign")
    said = opened_part(look_at(carcinoma_slide))
    assert "Labels of the 3 nearest tiles: **Squamous-cell carcinoma 3**, 100 % (21–100)" in said
    assert (said.count("data:image/jpeg"), said.count("2 of 2 readers<"), said.count("1 of 1 reader<")) == (3, 1, 2)
    assert "Nearest of 3 labelled tiles of this installation" in said
    assert "1 kept back: you may still be asked to read them" in said
    assert ADA not in said


@pytest.mark.slow
def test_whoever_only_looks_is_shown_no_labelled_case(
    store: LabelStore, bundle: Bundle, carcinoma_slide: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    label(store, tiles_like(store, bundle, carcinoma_slide, 1)[0], ADA, "scc")
    monkeypatch.setattr("pages.parts.slide.tile.person", lambda: Person(ME, "viewer"))
    assert "data:image/jpeg" not in opened_part(scored(carcinoma_slide))


def gathered(store: LabelStore, bundle: Bundle, content: bytes) -> list[str]:
    """The women of a table, as step 1 gathers them; each has a label."""
    table = read_table(content)
    assert isinstance(table, VisitTable)
    made = gather_patients(table, hashlib.sha256(content).hexdigest(), bundle, 100)
    keep_cases(store, "patient", PATIENT_LABELS, made, ME)
    ids = [case.id for case in made[0]]
    for case in ids:
        label(store, case, ME, "no")
    return ids


def beside_her() -> tuple[str, pd.DataFrame, str]:
    """The woman that is open, the labelled women beside her, and what is said."""
    app = open_page("patient")
    app.query_params["case"] = "list"
    app.run()
    turn_to(app, "patients_view", "Similar")
    shown = next(frame.value for frame in app.dataframe if "Said so" in frame.value)
    return next(heading.value for heading in app.subheader), shown, texts(app)


def test_a_woman_is_shown_beside_labelled_women_and_never_beside_herself(store: LabelStore, bundle: Bundle) -> None:
    women = gathered(store, bundle, cases_by_id()["list"].table_csv())
    name, shown, said = beside_her()
    her = pseudonym(women[0].split(":")[1], name)
    assert any(f":{her}@" in case for case in women), "she was labelled too"
    assert not shown["Woman"].str.startswith(her).any()
    assert f"Nearest of {len(women) - 1} labelled women of this installation" in said
    assert set(shown["Said so"]) == {"1 of 1 reader"}
    assert shown["Distance"].is_monotonic_increasing


@pytest.mark.slow
def test_a_labelled_woman_of_another_file_who_may_be_she_is_marked(store: LabelStore, bundle: Bundle) -> None:
    women = gathered(store, bundle, sample_visits_csv().encode())
    name, shown, _ = beside_her()
    her = pseudonym(women[0].split(":")[1], name)
    marked = shown.loc[shown["Course"].str.startswith("May be she herself."), "Woman"]
    assert [key.partition("@")[0] for key in marked] == [her]


def settle(app: AppTest, answer: str) -> None:
    (button,) = (button for button in app.button if str(button.key).endswith(f"_settle_{answer}"))
    button.click().run()
    assert not app.exception


def test_a_dispute_settled_beside_similar_cases_is_kept_as_not_blinded(
    store: LabelStore, bundle: Bundle, carcinoma_slide: Path
) -> None:
    ids = tiles_like(store, bundle, carcinoma_slide, 3)
    for case in ids[:2]:
        label(store, case, ADA, "scc")
        label(store, case, "Ben", "benign")
    for reader in (ADA, "Ben"):
        label(store, ids[2], reader, "ac")
    app = open_page("improve/agree")
    app.segmented_control(key="readers_view").set_value("Disputes").run()
    first = app.selectbox(key="readers_dispute_open").value
    assert "Labels of the" not in texts(app), "nothing is told before somebody asks"
    app.button(key=f"readers_dispute_similar_{first}").click().run()
    assert not app.exception
    assert "Labels of the 1 nearest tile: **Adenocarcinoma 1**" in texts(app)
    settle(app, "scc")
    second = app.selectbox(key="readers_dispute_open").value
    assert second != first
    settle(app, "benign")
    blinded = {case: bool(store.case_history(case)["blinded"].iloc[-1]) for case in (first, second)}
    assert blinded == {first: False, second: True}


@pytest.mark.slow
def test_labelled_tiles_that_another_bundle_scored_are_scored_in_the_background(
    store: LabelStore, bundle: Bundle, carcinoma_slide: Path
) -> None:
    (case,) = tiles_like(store, replace(bundle, sha256="e" * 64), carcinoma_slide, 1)
    label(store, case, ME, "scc")
    app = scored(carcinoma_slide)
    assert "1 not compared: this bundle has not scored them" in opened_part(app)
    app.button(key="slide_similar_rescore").click().run()
    deadline = time.monotonic() + PATIENCE_S
    while "Labels of the 1 nearest" not in opened_part(app):
        assert time.monotonic() < deadline, "waited in vain"
