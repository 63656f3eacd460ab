"""The case shelf: every case can be opened offline and is what it says."""

from datetime import date, timedelta
from xml.etree import ElementTree

import pandas as pd
import pytest

from cervix.patients.visits import read_visits
from cervix.patients.vocabulary import PATIENT_ID
from cervix.samples.cases import CASES, FACTORS, Case
from cervix.samples.shown import GRAVE, NEGATIVE, thumbnail, visits_svg
from cervix.samples.slides import sample_slide
from cervix.settings import Settings

SLIDES = [case for case in CASES if case.page == "slide"]
TABLES = [case for case in CASES if case.page == "patient" and case.id != FACTORS]


def test_there_are_eight_cases_each_with_a_name_of_its_own() -> None:
    assert len({case.id for case in CASES}) == len(CASES) >= 8
    assert all(case.id.isalnum() for case in CASES), "ids stand in addresses"


@pytest.mark.parametrize("case", SLIDES, ids=lambda case: case.id)
def test_a_slide_is_there_without_a_network(case: Case, tmp_path: object) -> None:
    settings = Settings(home=tmp_path, offline=True)  # type: ignore[arg-type]
    assert sample_slide(case.sample, settings).is_file()
    assert thumbnail(case).endswith(".jpg")


@pytest.mark.parametrize("case", TABLES, ids=lambda case: case.id)
def test_a_table_is_read_in_full_and_holds_the_woman_to_open(case: Case) -> None:
    table = read_visits(case.table_csv())
    assert not table.problems
    assert not case.woman or case.woman in set(table.frame[PATIENT_ID])
    ElementTree.fromstring(thumbnail(case))


@pytest.mark.parametrize("today", [date(2026, 11, 30), date(2025, 2, 28), date(2024, 2, 29)])
@pytest.mark.parametrize("case", TABLES, ids=lambda case: case.id)
def test_the_last_visit_is_never_older_than_a_year_and_nothing_but_dates_moves(case: Case, today: date) -> None:
    visits = read_visits(case.table_csv(today)).frame
    last = visits["visit_date"].max().date()
    assert today - timedelta(days=366) <= last <= today
    other = read_visits(case.table_csv(date(2023, 6, 1))).frame
    pd.testing.assert_frame_equal(visits.drop(columns="visit_date"), other.drop(columns="visit_date"))


def test_a_drawing_of_visits_colours_each_by_its_gravest_finding() -> None:
    text = visits_svg(b"patient_id,visit_date,age,cytology,hpv_result\nA,2020-01-01,30,NILM,negative\nA,2021-01-01,31,HSIL,\n")
    circles = [shape.get("fill") for shape in ElementTree.fromstring(text) if shape.tag.endswith("circle")]
    assert circles == [NEGATIVE, GRAVE]
