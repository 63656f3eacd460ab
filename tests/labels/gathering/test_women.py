"""Women of a scored visit table become cases without dates or ids, and come back as exactly the arrays that the table gave."""

import hashlib
import json
from threading import Event

import numpy as np
import pandas as pd
import pytest

from cervix.bundle import Bundle
from cervix.errors import Cancelled, LabelRefused
from cervix.labels import open_store
from cervix.labels.desk.queue import offered
from cervix.labels.gathering.women import gather_patients, histories_of, pseudonym, visits_content
from cervix.labels.store.cases import PATIENT_LABELS
from cervix.patients.encoding import VISIT_FEATURES, encoding_named
from cervix.patients.history_scoring import histories_of as histories_of_table
from cervix.patients.history_scoring import score_visits
from cervix.patients.sequences import EPISODE_DAYS, encode
from cervix.patients.visit_sample import sample_visits_csv
from cervix.patients.visit_vocabulary import VISIT_COLUMNS
from cervix.patients.visits import VisitTable, read_visits

CONTENT = sample_visits_csv().encode()
TABLE = hashlib.sha256(CONTENT).hexdigest()
EVERYONE = 1000


@pytest.fixture(scope="module")
def table() -> VisitTable:
    return read_visits(CONTENT)


def test_what_is_kept_gives_the_arrays_of_the_table(table: VisitTable) -> None:
    women = [rows for _, rows in table.frame.groupby("patient_id", sort=False)]
    again = histories_of([json.dumps(visits_content(rows)).encode() for rows in women], VISIT_FEATURES, EPISODE_DAYS)
    original = encode(table.frame, VISIT_FEATURES, EPISODE_DAYS)
    assert len(again) == 40
    for field in ("first", "lengths", "features", "gap_years"):
        np.testing.assert_array_equal(getattr(again, field), getattr(original, field))


def test_a_woman_without_age_or_results_comes_back_too() -> None:
    content = b"patient_id,visit_date,age,cytology\nw1,2015-01-01,,NILM\nw1,2018-03-01,,\nw2,2019-05-05,41,\n"
    frame = read_visits(content).frame
    women = [rows for _, rows in frame.groupby("patient_id", sort=False)]
    kept = [visits_content(rows) for rows in women]
    assert kept[1] == [{"age": 41.0, "time_years": 0.0}]
    features = encoding_named(["age", "cytology_squamous"])
    again = histories_of([json.dumps(one).encode() for one in kept], features, None)
    np.testing.assert_array_equal(again.features, encode(frame, features, None).features)


def test_cases_hold_no_date_and_no_id_and_the_same_table_gives_the_same_cases(table: VisitTable, bundle: Bundle) -> None:
    cases, _ = gather_patients(table, TABLE, bundle, EVERYONE)
    assert len({case.id for case in cases}) == 40
    for case in cases:
        assert b"SAMPLE" not in case.content
        for visit in case.visits:
            told = {name: value for name, value in visit.items() if name not in ("age", "time_years")}
            assert all(value in VISIT_COLUMNS[name].codes for name, value in told.items())
        assert "SAMPLE" not in case.id
    assert {case.id for case in cases} == {case.id for case in gather_patients(table, TABLE, bundle, EVERYONE, seed=1)[0]}
    assert pseudonym(TABLE, "SAMPLE-001") != pseudonym("a" * 64, "SAMPLE-001")


def test_scores_are_those_of_the_page_patients_with_state_and_disagreement(table: VisitTable, bundle: Bundle) -> None:
    cases, scores = gather_patients(table, TABLE, bundle, EVERYONE)
    session = bundle.session("history")
    task = session.model.derived_tasks[0]
    shown = score_visits(table, session).set_index("patient_id")
    for number in range(1, 41):
        name = f"SAMPLE-{number:03d}"
        said = next(score for score in scores if score.case_id.endswith(pseudonym(TABLE, name)))
        assert said.disagreement is not None
        assert 0 <= said.disagreement <= np.log(2)
        assert said.novelty is None
        risk = sum(said.probabilities[label] for label in task.positive)
        if not shown.loc[name, "abstained"]:
            assert risk == pytest.approx(shown.loc[name, f"risk_{task.id}"], abs=1e-6)
    wide = (shown["highest"] - shown["lowest"]).idxmax()
    doubted = max(scores, key=lambda score: score.disagreement or 0.0)
    assert (shown["highest"] - shown["lowest"]).rank(ascending=False)[wide] == 1
    assert doubted.disagreement > 10 * np.median([score.disagreement for score in scores])  # type: ignore[operator]
    assert scores[0].embedding is not None
    first = histories_of_table(table.frame, session).padded(np.array([0]))
    assert scores[0].embedding.shape == session.run(first, ["state"])["state"].shape[1:]
    assert len(cases) == len(scores)


def test_of_many_women_so_many_are_taken_and_stopping_gives_none(table: VisitTable, bundle: Bundle) -> None:
    assert len(gather_patients(table, TABLE, bundle, 8)[0]) == 8
    stop = Event()
    stop.set()
    with pytest.raises(Cancelled):
        gather_patients(table, TABLE, bundle, 8, cancel=stop)


def test_women_are_kept_scored_and_labelled_like_tiles(table: VisitTable, bundle: Bundle, sqlite_url: str) -> None:
    cases, scores = gather_patients(table, TABLE, bundle, EVERYONE)
    with open_store(sqlite_url) as store:
        store.declare_classes("patient", PATIENT_LABELS)
        assert store.add_cases(cases) == 40
        store.add_scores(scores)
        held = store.scores(bundle.sha256, "patient")
        assert {"diverse", "bald"} <= set(offered(held))
        assert isinstance(store.case(cases[0].id).visits, list)
        assert isinstance(held, pd.DataFrame)


def test_women_whose_file_was_not_read_whole_are_left_out(bundle: Bundle) -> None:
    text = "patient_id,age,cytology,hpv_result\nA,30,NILM,negative\nB,40,who knows,positive\nC,50,HSIL,positive\n"
    cases, _ = gather_patients(read_visits(text.encode()), "d" * 64, bundle, 10)
    assert {case.id for case in cases} == {f"patient:{'d' * 64}:{pseudonym('d' * 64, who)}" for who in "AC"}
    header, _, broken, _ = text.splitlines()
    with pytest.raises(LabelRefused, match="No woman of the table could be read in full"):
        gather_patients(read_visits(f"{header}\n{broken}\n".encode()), "d" * 64, bundle, 10)
