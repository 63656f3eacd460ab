"""Facts of one episode give the same answer on one row as on several; what an episode is, and how its rows are joined."""

import json
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pypdf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cervix.bundle import Bundle, ModelSession
from cervix.interop.fhir.women import fhir_json
from cervix.labels.gathering.women import visits_frame
from cervix.patients.charts import course_figure
from cervix.patients.courses import courses, steps_in_words
from cervix.patients.encoding import VISIT_FEATURES, features_of, not_fed
from cervix.patients.history_explanation import explain_history, explain_step
from cervix.patients.history_scoring import BEYOND, beyond_note, histories_of, member_band, score_visits, trajectory
from cervix.patients.report import summary_sentence, write_patient_report
from cervix.patients.sequences import DAYS_A_YEAR, EPISODE_DAYS, TIME_YEARS, Histories, encode
from cervix.patients.visit_vocabulary import AGE, VISIT_COLUMNS
from cervix.patients.visits import VisitTable, read_visits
from cervix.provenance import provenance_of

NAMES = [feature.name for feature in VISIT_FEATURES]
TASK = "cin2-3y"
FIRST_DAY = date(2010, 3, 1)
HEADER = "patient_id,visit_date,age,cytology,hpv_result,colposcopy,histology,treatment,smoker"
# One woman, one episode: what was found, in the order of the header.
FACTS = {"cytology": "LSIL", "hpv_result": "positive", "colposcopy": "high-grade", "histology": "CIN1", "smoker": "yes"}


def table_of(*lines: str, header: str = HEADER) -> VisitTable:
    return read_visits("\n".join([header, *lines]).encode())


def encoded(*lines: str, header: str = HEADER) -> Histories:
    return encode(table_of(*lines, header=header).frame, VISIT_FEATURES, EPISODE_DAYS)


def on_rows(rows: int, *, apart_days: int = 25) -> str:
    """The facts dealt out to so many rows, a later visit after them; as CSV."""
    written: list[dict[str, str]] = [
        {"visit_date": str(FIRST_DAY + timedelta(days=apart_days * row)), "age": "34"} for row in range(rows)
    ]
    for number, (column, code) in enumerate(FACTS.items()):
        written[number % rows][column] = code
    written.append({"visit_date": "2014-03-01", "age": "38", "cytology": "NILM", "hpv_result": "negative"})
    names = HEADER.split(",")
    return "\n".join([HEADER, *(",".join(["A", *(row.get(name, "") for name in names[1:])]) for row in written)])


@pytest.fixture(scope="module")
def session(bundle: Bundle) -> ModelSession:
    return bundle.session("history")


@pytest.mark.parametrize("rows", [2, 3, 4])
def test_the_same_facts_on_more_rows_give_the_same_arrays_and_answers(rows: int, session: ModelSession) -> None:
    whole, dealt = read_visits(on_rows(1).encode()), read_visits(on_rows(rows).encode())
    for name, values in histories_of(whole.frame, session).padded(np.array([0])).items():
        np.testing.assert_array_equal(histories_of(dealt.frame, session).padded(np.array([0]))[name], values)
    one, other = (score_visits(table, session).iloc[0] for table in (whole, dealt))
    assert other["visits"] == rows + 1
    assert one.filter(like="risk_").equals(other.filter(like="risk_"))


@st.composite
def histories_written_twice(draw: st.DrawFn) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A woman's episodes, each on one row, and the same with every fact on a row of its own choice within 90 days."""
    joined: list[dict[str, object]] = []
    dealt: list[dict[str, object]] = []
    day = 0
    for _ in range(draw(st.integers(1, 4))):
        chosen = draw(st.lists(st.sampled_from(sorted(VISIT_COLUMNS)), unique=True, max_size=8))
        facts = {name: draw(st.sampled_from(VISIT_COLUMNS[name].codes)) for name in chosen}
        offsets = {name: draw(st.integers(0, EPISODE_DAYS)) for name in facts}
        for rows, shift in ((joined, dict.fromkeys(facts, 0)), (dealt, offsets)):
            rows.extend(
                {TIME_YEARS: (day + offset) / DAYS_A_YEAR, AGE: 40.0 + day // 365}
                | {name: code for name, code in facts.items() if shift[name] == offset}
                for offset in sorted({0, *shift.values()})
            )
        day += EPISODE_DAYS + draw(st.integers(1, 2000))
    whole, parts = (visits_frame([json.dumps(rows).encode()]) for rows in (joined, dealt))
    return whole, parts


@settings(max_examples=100, deadline=None)
@given(histories_written_twice())
def test_rows_of_an_episode_may_be_split_and_joined(written: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    whole, dealt = (encode(frame, VISIT_FEATURES, EPISODE_DAYS) for frame in written)
    for name in ("first", "lengths", "features", "gap_years", "time_years"):
        np.testing.assert_array_equal(getattr(dealt, name), getattr(whole, name), err_msg=name)


@pytest.mark.parametrize(
    ("days", "first_days"),
    [
        ([0, 60, 120], [0, 120]),
        ([0, EPISODE_DAYS], [0]),
        ([0, EPISODE_DAYS + 1], [0, EPISODE_DAYS + 1]),
        ([0, 89, 91, 180, 182], [0, 91, 182]),
    ],
)
def test_an_episode_is_what_lies_within_90_days_of_its_first_row(days: list[int], first_days: list[int]) -> None:
    histories = encoded(*(f"A,{FIRST_DAY + timedelta(days=day)},40,NILM,,,,," for day in days))
    np.testing.assert_allclose(histories.time_years * 365.25, first_days, atol=1e-6)
    assert histories.lengths[0] == len(first_days)


def test_women_without_dates_have_an_episode_for_each_age() -> None:
    histories = encoded("A,,30,NILM,,,,,", "A,,30,,positive,,,,", "A,,31,ASC-US,,,,,", "B,,50,NILM,,,,,")
    assert histories.lengths.tolist() == [2, 1]
    assert histories.features[0, NAMES.index("hpv")] == 1


def test_of_results_the_gravest_counts_of_her_the_latest_and_of_ages_the_first() -> None:
    lines = [
        "A,2020-01-01,,AGC,negative,high-grade,,,yes",
        "A,2020-02-01,30,HSIL,positive,,,LEEP,no",
        "A,2020-03-01,31,UNSAT,invalid,low-grade,CIN2,none,",
    ]
    histories = encoded(*lines)
    found = dict(zip(NAMES, histories.features[0].tolist(), strict=True))
    wanted = {"age": 30, "cytology_squamous": 4, "cytology_glandular": 1, "hpv": 1, "colposcopy": 2, "histology": 2}
    assert {name: found[name] for name in wanted} == wanted
    assert (found["treatment"], found["smoker"]) == (2, 0)
    assert np.isnan(found["immunosuppressed"])


def test_steps_lead_back_to_the_rows_of_each_woman() -> None:
    lines = [f"{woman},{day},40,NILM,,,,," for woman, day in
             [("A", "2010-01-01"), ("A", "2010-02-01"), ("A", "2013-01-01"), ("B", "2011-05-05"), ("C", "2012-01-01"),
              ("C", "2012-03-30")]]  # fmt: skip
    histories = encoded(*lines)
    assert histories.row_of_step.tolist() == [1, 2, 3, 5]
    assert (histories.row_first.tolist(), histories.last_row.tolist()) == ([0, 3, 4], [2, 3, 5])
    assert histories.row_lengths.tolist() == [3, 1, 2]
    rows = histories.rows_of_steps(np.array([2, 0]), np.array([0, 1]))
    assert [own.tolist() for own in rows] == [[4, 5], [2]]
    assert histories.prefixes(np.array([0, 3])).last_row.tolist() == [1, 5]


def test_an_older_bundle_is_still_fed_row_by_row(bundle: Bundle) -> None:
    older = bundle.session_of("joint")
    assert older.model.features is not None
    assert older.model.features.steps == "rows"
    assert histories_of(read_visits(on_rows(3).encode()).frame, older).lengths.tolist() == [4]


def test_a_test_without_its_biopsy_is_an_episode_with_less_in_it(session: ModelSession) -> None:
    test, biopsy = "A,2020-01-01,35,HSIL,positive,,,,", "A,2020-02-10,35,,,,benign,,"
    before, after = (score_visits(table_of(*lines), session).iloc[0] for lines in ([test], [test, biopsy]))
    assert before["results_known"] == after["results_known"] == 1
    assert before[f"risk_{TASK}"] != after[f"risk_{TASK}"]


def test_a_woman_is_explained_by_episode_and_an_episode_by_its_results(session: ModelSession) -> None:
    visits = read_visits(on_rows(3).encode()).frame
    explained = explain_history(visits, session, TASK)
    assert [own.tolist() for own in explained.rows] == [[0, 1, 2], [3]]
    assert explained.reference_risk + explained.contributions.sum() == pytest.approx(explained.risk, abs=1e-9)
    inside = explain_step(visits, session, TASK, 0).set_index("column")
    assert inside["found"].to_dict() == FACTS
    assert inside["contribution"].sum() == pytest.approx(explained.contributions[0], abs=1e-9)
    assert "the episode of 2010-03-01 to 2010-04-20 (" in summary_sentence(visits, explained, "CIN2+")


def test_a_column_found_twice_in_an_episode_is_told_with_both_codes(session: ModelSession) -> None:
    visits = table_of("A,2020-01-01,35,ASC-US,,,,,", "A,2020-02-01,35,HSIL,,,,,").frame
    assert explain_step(visits, session, TASK, 0)["found"].tolist() == ["ASC-US / HSIL"]


def test_a_course_has_a_point_an_episode_and_its_lanes_every_visit(session: ModelSession) -> None:
    visits = read_visits(on_rows(3).encode()).frame
    histories = histories_of(visits, session)
    band = member_band(histories, 0, session)
    figure = course_figure(visits, histories.row_of_step, trajectory(histories, 0, session), band, "CIN2+", 0.05)
    drawn = {trace.name: pd.to_datetime(pd.Series(trace.x)).dt.strftime("%Y-%m-%d").tolist() for trace in figure.data}
    assert drawn["CIN2+"] == ["2010-04-20", "2014-03-01"]
    assert "2010-03-26" in drawn["high-grade or positive"]
    [course] = courses(histories, np.array([0]), session)
    assert len(course.risk) == 2
    [words] = steps_in_words([course], visits, histories, np.array([0]))
    assert words.endswith("(2014-03-01)") or "2010-03-01 to 2010-04-20" in words


@pytest.mark.parametrize(("age", "nearest"), [(18, 21), (83, 75)])
def test_an_age_beyond_training_is_answered_as_the_nearest_and_said(age: int, nearest: int, session: ModelSession) -> None:
    rows = [f"A,2020-01-01,{years},LSIL,positive,,,," for years in (age, nearest)]
    beyond, within = (score_visits(table_of(row), session).iloc[0] for row in rows)
    assert beyond[f"risk_{TASK}"] == within[f"risk_{TASK}"]
    assert beyond[BEYOND] == f"Age (years) {age}, in training 21 to 75"
    assert beyond_note(beyond).startswith("Beyond what the model was trained on: Age")
    assert within[BEYOND] == beyond_note(within) == ""


def test_a_gap_beyond_training_is_answered_as_the_longest_and_said(session: ModelSession) -> None:
    first = "A,{},22,NILM,negative,,,,"
    table = table_of(first.format("1980-01-01"), "A,2010-01-01,52,NILM,negative,,,,")
    histories = histories_of(table.frame, session)
    assert np.nanmax(histories.gap_years) == pytest.approx(30, abs=0.01)
    assert np.nanmax(histories.padded(np.array([0]))["gap_years"]) == 20
    scores = score_visits(table, session).iloc[0]
    assert scores[BEYOND] == "30.0 years since the visit before, in training at most 20.0"
    explained = explain_history(table.frame, session, TASK)
    assert explained.risk == pytest.approx(scores[f"risk_{TASK}"], abs=1e-6)


def test_results_that_a_model_is_not_fed_are_named(session: ModelSession) -> None:
    header = "patient_id,visit_date,age,cytology,via,dual_stain"
    frame = table_of("A,2020-01-01,40,NILM,negative,positive", header=header).frame
    features = features_of(session)
    older = features.model_copy(update={"encoding": [item for item in features.encoding if item.column != "dual_stain"]})
    assert not_fed(frame, features) == ["VIA"]
    assert not_fed(frame, older) == ["p16/Ki-67 dual stain", "VIA"]


def test_fhir_and_pdf_say_what_lies_beyond_training_and_name_the_dual_stain(bundle: Bundle, tmp_path: Path) -> None:
    session, origin = bundle.session("history"), provenance_of(bundle, "history")
    table = table_of("A,2020-01-01,82,NILM,positive", header="patient_id,visit_date,age,cytology,dual_stain")
    scores = score_visits(table, session)
    document = fhir_json(scores, table.frame, session.model, origin)
    write_patient_report(table.frame, scores.iloc[0], None, session, origin, "No ladder.", tmp_path / "report.pdf")
    printed = " ".join(pypdf.PdfReader(tmp_path / "report.pdf").pages[0].extract_text().split())
    for text in (document, printed):
        assert "Beyond what the model was trained on: Age (years) 82, in training 21 to 75." in text
        assert "p16/Ki-67 dual stain" in text
