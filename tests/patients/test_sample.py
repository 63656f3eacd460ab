"""The sample file is made up, always the same, and in the form that the reader asks for."""

import numpy as np

from cervix.patients.reading import read_patients
from cervix.patients.sample import SAMPLE_ROWS, blank_table_csv, sample_table_csv
from cervix.patients.vocabulary import COLUMNS, OUTCOME, PATIENT_ID


def test_the_sample_is_the_same_every_time() -> None:
    assert sample_table_csv() == sample_table_csv()


def test_another_seed_gives_other_patients() -> None:
    assert sample_table_csv(seed=1) != sample_table_csv(seed=2)


def test_the_sample_reads_without_problem_or_assumption() -> None:
    table = read_patients(sample_table_csv().encode(), strict=True)
    assert len(table.frame) == SAMPLE_ROWS
    assert table.notices == []


def test_many_samples_read_without_problem() -> None:
    for seed in range(8):
        assert read_patients(sample_table_csv(200, seed=seed).encode(), strict=True).rows_left_out == 0


def test_every_sample_patient_is_plausible_in_herself() -> None:
    frame = read_patients(sample_table_csv(2_000).encode()).frame
    for years in ("Smokes (years)", "Hormonal Contraceptives (years)", "IUD (years)", "First sexual intercourse"):
        assert not (frame[years] > frame["Age"]).any(), years
    assert not ((frame["Smokes"] == 0) & (frame["Smokes (years)"] > 0)).any()


def test_the_sample_names_nobody_and_holds_no_outcome() -> None:
    frame = read_patients(sample_table_csv().encode()).frame
    assert frame[PATIENT_ID].str.fullmatch(r"SAMPLE-\d{4}").all()
    assert frame[PATIENT_ID].is_unique
    assert np.isnan(frame[OUTCOME.name]).all()


def test_some_answers_of_the_sample_are_not_known_but_never_the_age() -> None:
    frame = read_patients(sample_table_csv().encode()).frame
    assert frame["Age"].notna().all()
    assert frame["Smokes"].isna().any()


def test_the_blank_table_has_every_column_once_and_needs_only_rows() -> None:
    one = blank_table_csv() + ",".join(["A-1", "30", *["?"] * (len(COLUMNS) - 1)]) + "\n"
    table = read_patients(one.encode(), strict=True)
    assert table.frame[PATIENT_ID].tolist() == ["A-1"]
    assert table.notices == []
