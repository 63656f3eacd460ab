"""Women of a scored visit table become cases without dates or ids, and come back as exactly the arrays that the table gave."""

import hashlib
import json
from dataclasses import replace
from threading import Event

import numpy as np
import pandas as pd
import pytest

from cervix.bundle import Bundle
from cervix.errors import Cancelled, LabelRefused
from cervix.labels import open_store
from cervix.labels.desk.queue import offered
from cervix.labels.gathering.women import (
    OUTCOME_YEARS,
    gather_patients,
    histories_of,
    pseudonym,
    score_women,
    visits_content,
    woman_views,
)
from cervix.labels.store.cases import PATIENT_LABELS, patient_case
from cervix.patients.diagnosis import CANCER, PRECANCER
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
FOLLOWED = 28
"""Of the forty women of the sample, those whose file tells the outcome after one of their visits."""


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
    assert len({case.id for case in cases}) == FOLLOWED
    for case in cases:
        assert b"SAMPLE" not in case.content
        for visit in (*case.visits, *case.after):
            told = {name: value for name, value in visit.items() if name not in ("age", "time_years")}
            assert all(value in VISIT_COLUMNS[name].codes for name, value in told.items())
        assert "SAMPLE" not in case.id
        assert case.id == f"{case.group_id}@{len(case.visits)}", "the woman is the group, whichever of her visits it is"
    assert {case.id for case in cases} == {case.id for case in gather_patients(table, TABLE, bundle, EVERYONE, seed=1)[0]}
    assert pseudonym(TABLE, "SAMPLE-001") != pseudonym("a" * 64, "SAMPLE-001")


def test_what_came_afterwards_tells_the_outcome_and_no_model_reads_it(table: VisitTable, bundle: Bundle) -> None:
    cases, scores = gather_patients(table, TABLE, bundle, EVERYONE)
    for case in cases:
        asked = case.visits[-1]["time_years"]
        later = [visit["time_years"] - asked for visit in case.after]
        found = [visit["time_years"] - asked for visit in case.after if visit.get("histology") in (*PRECANCER, *CANCER)]
        assert min(later) > 0
        assert max(later) >= OUTCOME_YEARS or min(found) <= OUTCOME_YEARS
    alone = [patient_case("e" * 64, f"w{place}", case.visits) for place, case in enumerate(cases)]
    again = score_women([case.id for case in alone], [case.content for case in alone], bundle)
    for score, other in zip(scores, again, strict=True):
        assert score.probabilities == pytest.approx(other.probabilities, abs=1e-6)
    view = woman_views(cases[0])
    assert view.after is not None
    assert len(view.visits) + len(view.after) == len(cases[0].visits) + len(cases[0].after)
    assert woman_views(alone[0]).after is None, "as women were kept before"


def test_whom_the_table_tells_no_outcome_of_is_left_out(bundle: Bundle) -> None:
    rows = """A,2010-01-01,30,NILM,
A,2014-01-01,34,NILM,
B,2010-01-01,40,HSIL,
B,2010-06-01,40,,CIN3
C,2012-01-01,50,NILM,
C,2013-01-01,51,NILM,
D,2012-01-01,50,NILM,
E,2010-01-01,40,HSIL,CIN3
E,2015-01-01,45,NILM,"""
    table = read_visits(f"patient_id,visit_date,age,cytology,histology\n{rows}\n".encode())
    cases, _ = gather_patients(table, "d" * 64, bundle, 10)
    assert {case.id for case in cases} == {f"patient:{'d' * 64}:{pseudonym('d' * 64, who)}@1" for who in "AB"}
    late = "\n".join(row for row in rows.splitlines() if row[0] in "CD")
    with pytest.raises(LabelRefused, match="tells the outcome of no woman"):
        gather_patients(read_visits(f"patient_id,visit_date,age,cytology,histology\n{late}\n".encode()), "d" * 64, bundle, 10)


def test_scores_are_those_of_her_history_up_to_the_visit_with_state_and_disagreement(bundle: Bundle, table: VisitTable) -> None:
    cases, scores = gather_patients(table, TABLE, bundle, EVERYONE)
    session = bundle.session("history")
    task = session.model.derived_tasks[0]
    ids = {f"{pseudonym(TABLE, name)}": name for name in table.frame["patient_id"].unique()}
    for case, score in zip(cases, scores, strict=True):
        key, _, visits = case.id.rpartition(":")[2].partition("@")
        rows = table.frame[table.frame["patient_id"] == ids[key]].head(int(visits))
        shown = score_visits(replace(table, frame=rows), session).iloc[0]
        assert score.disagreement is not None
        assert 0 <= score.disagreement <= np.log(2)
        assert score.novelty is None
        risk = sum(score.probabilities[label] for label in task.positive)
        if not shown["abstained"]:
            assert risk == pytest.approx(shown[f"risk_{task.id}"], abs=1e-6)
    assert scores[0].embedding is not None
    first = histories_of_table(table.frame, session).padded(np.array([0]))
    assert scores[0].embedding.shape == session.run(first, ["state"])["state"].shape[1:]


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
        assert store.add_cases(cases) == FOLLOWED
        store.add_scores(scores)
        held = store.scores(bundle.sha256, "patient")
        assert {"diverse", "bald"} <= set(offered(held))
        assert isinstance(store.case(cases[0].id).visits, list)
        assert isinstance(held, pd.DataFrame)


def test_women_whose_file_was_not_read_whole_are_left_out(bundle: Bundle) -> None:
    header = "patient_id,visit_date,cytology"
    rows = {
        who: f"{who},2010-01-01,{first}\n{who},2015-01-01,NILM"
        for who, first in {"A": "NILM", "B": "who knows", "C": "HSIL"}.items()
    }
    cases, _ = gather_patients(read_visits("\n".join([header, *rows.values()]).encode()), "d" * 64, bundle, 10)
    assert {case.id for case in cases} == {f"patient:{'d' * 64}:{pseudonym('d' * 64, who)}@1" for who in "AC"}
    with pytest.raises(LabelRefused, match="No woman of the table could be read in full"):
        gather_patients(read_visits(f"{header}\n{rows['B']}\n".encode()), "d" * 64, bundle, 10)
