"""An answer about a woman rests on all that her file says, or says that it does not: in list, table, paper and measures."""

from pathlib import Path

import numpy as np
import pandas as pd
import pypdf
import pytest

from cervix.bundle import Bundle, ModelSession
from cervix.cli import main
from cervix.evaluation.labelled_patients import labelled_patients
from cervix.patients.completeness import Completeness, completeness_of
from cervix.patients.encoding import VISIT_FEATURES
from cervix.patients.guideline import step_for
from cervix.patients.history_explanation import explain_history
from cervix.patients.history_scoring import histories_of, score_visits
from cervix.patients.reading import read_patients
from cervix.patients.report import write_patient_report
from cervix.patients.sample import sample_table_csv
from cervix.patients.scoring import score_patients
from cervix.patients.visit_losses import READ_BY_MODELS
from cervix.patients.visit_vocabulary import CODE_COLUMNS
from cervix.patients.visits import VisitTable, read_visits
from cervix.provenance import provenance_of

HEADER = "patient_id,visit_date,age,cytology,hpv_result,hpv_16,hpv_18,hpv_other_hr"


@pytest.fixture(scope="module")
def history(bundle: Bundle) -> ModelSession:
    return bundle.session("history")


def visits(*rows: str, header: str = HEADER) -> VisitTable:
    return read_visits("\n".join([header, *rows]).encode())


def scored(table: VisitTable, session: ModelSession) -> pd.DataFrame:
    return score_visits(table, session).set_index("patient_id")


def case(cases_dir: Path, name: str) -> VisitTable:
    return read_visits((cases_dir / "patients" / name).read_bytes())


def test_the_columns_that_models_read_are_those_that_sequences_encode() -> None:
    assert {feature.column for feature in VISIT_FEATURES} <= READ_BY_MODELS
    assert {column.name for column in CODE_COLUMNS} - READ_BY_MODELS == {"via", "hiv", "pregnant"}


def test_a_cell_that_no_model_reads_costs_nothing_and_one_that_it_reads_costs_itself(
    cases_dir: Path, history: ModelSession
) -> None:
    scores = scored(case(cases_dir, "x01_unused_column_costs_visit.csv"), history)
    assert scores["visits"].tolist() == [2, 2, 2, 2]
    assert scores["flagged"].all()
    risks = scores["risk_cin2-3y"]
    assert risks[["P2", "P4"]].tolist() == pytest.approx([risks["P1"]] * 2)
    assert risks["P3"] == pytest.approx(risks["P1"], abs=0.02), "only whether she smokes is not known"
    assert scores["rests_on"].to_dict() == {"P1": "", "P2": "", "P3": "1 cell could not be read", "P4": ""}


def test_a_word_that_is_none_in_a_column_no_model_reads_is_a_notice() -> None:
    table = visits("A,2020-01-01,30,NILM,soon,perhaps", header="patient_id,visit_date,age,cytology,hiv,via")
    assert table.problems == []
    assert table.losses.empty
    assert sum("no model reads them" in notice for notice in table.notices) == 2


def test_genotypes_in_other_spellings_leave_no_visit_out(cases_dir: Path, history: ModelSession) -> None:
    scores = scored(case(cases_dir, "x02_genotype_capital_negative.csv"), history)
    assert scores["visits"].to_dict() == {"Q1": 1, "Q2": 2, "Q3": 2}
    assert scores.at["Q3", "risk_cin2-3y"] > scores.at["Q1", "risk_cin2-3y"]
    assert not scores["incomplete"].any()


def test_flags_with_a_decimal_leave_no_visit_out(cases_dir: Path, history: ModelSession) -> None:
    scores = scored(case(cases_dir, "x05_pandas_float_flags.csv"), history)
    assert scores["visits"].tolist() == [2, 2]
    assert scores["flagged"].all()


class TestMarks:
    ROWS = ("A,2020-03-01,32,NILM,negative,,,", "A,,,HSIL,positive,positive,,", "B,2021-01-01,40,NILM,negative,,,")

    def test_a_visit_without_time_marks_its_woman_and_no_other(self, history: ModelSession) -> None:
        scores = scored(visits(*self.ROWS), history)
        assert scores["rests_on"].to_dict() == {"A": "rests on 1 of 2 visits", "B": ""}
        assert completeness_of(scores.loc["A"]) == Completeness(2, 1)
        assert completeness_of(scores.loc["A"]).note == "Incomplete: rests on 1 of 2 visits."

    @pytest.mark.parametrize(
        "torn", ['A,2024-01-01,36,"HSIL,positive,,,', "A,2024-01-01,36,HSIL", "A,2024-01-01,36,HSIL,p,p,p,p,p"]
    )
    def test_a_row_that_cannot_be_cut_marks_the_woman_it_names(self, torn: str) -> None:
        table = visits(self.ROWS[0], torn, self.ROWS[2])
        assert table.losses["visits_set_aside"].to_dict() == {"A": 1}
        assert [(problem.row, problem.patient) for problem in table.problems] == [(3, "A")]

    def test_a_torn_row_of_nobody_is_said(self) -> None:
        table = visits(self.ROWS[0], "what,2024", self.ROWS[2])
        assert table.losses.empty
        assert any("it is not known whose" in notice for notice in table.notices)

    def test_women_of_whom_nothing_is_left_are_counted(self) -> None:
        assert any("1 women have no usable visit" in notice for notice in visits("A,,,HSIL,,,,", self.ROWS[2]).notices)

    def test_visits_beyond_the_last_60_are_counted_too(self, history: ModelSession) -> None:
        days = pd.date_range("2005-01-01", periods=63, freq="90D")
        scores = scored(visits(*(f"A,{day:%Y-%m-%d},,NILM,,,," for day in days)), history)
        assert scores.at["A", "rests_on"] == "rests on 60 of 63 visits"

    def test_the_table_of_problems_names_the_woman_and_what_became_of_her_cell(self) -> None:
        (problem,) = visits("A,2020-03-01,32,what,,,,", self.ROWS[2]).problems
        assert (problem.patient, problem.became) == ("A", "not known")
        assert "patient A" in str(problem)

    def test_a_marked_woman_gets_no_step_and_her_paper_says_why(
        self, history: ModelSession, bundle: Bundle, tmp_path: Path
    ) -> None:
        table = visits(self.ROWS[0], "A,2025-03-01,37,HSIL,reactive?,positive,,")
        row = score_visits(table, history).iloc[0]
        step = step_for(table.frame, row, history.model)
        assert step.action == ""
        assert "1 cell could not be read" in step.reason
        explained = explain_history(table.frame, history, "cin2-3y")
        path = tmp_path / "report.pdf"
        write_patient_report(table.frame, row, explained, history, provenance_of(bundle, "history"), step.words, path)
        text = " ".join("\n".join(page.extract_text() for page in pypdf.PdfReader(path).pages).split())
        assert "Incomplete: 1 cell could not be read." in text
        assert "No guideline step is shown: the answer rests on an incomplete history" in text

    @pytest.mark.usefixtures("home")
    def test_the_command_line_writes_the_mark_beside_each_answer(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "visits.csv").write_text("\n".join([HEADER, *self.ROWS]), encoding="utf-8")
        assert main(["patients", str(tmp_path / "visits.csv"), "--out", str(tmp_path / "scores.csv"), "--device", "cpu"]) == 0
        written = pd.read_csv(tmp_path / "scores.csv", keep_default_na=False)
        assert written["rests_on"].tolist() == ["rests on 1 of 2 visits", ""]
        assert written["visits_in_file"].tolist() == [2, 1]
        assert "1 of them rest on a part of their file only" in capsys.readouterr().out

    def test_a_row_of_risk_factors_is_marked_for_the_models_that_read_the_cell(self, bundle: Bundle) -> None:
        header, first, *others = sample_table_csv(4).splitlines()
        cells = first.split(",")
        cells[header.split(",").index("Schiller")] = "perhaps"
        table = read_patients("\n".join([header, ",".join(cells), *others]).encode())
        with_tests = score_patients(table, bundle.session("risk-factors-with-tests"))
        assert with_tests["rests_on"].tolist() == ["1 cell could not be read", "", "", ""]
        assert not score_patients(table, bundle.session("risk-factors"))["incomplete"].any()


class TestHpv:
    def risk(self, session: ModelSession, results: str, cytology: str = "ASC-US") -> float:
        return float(scored(visits(f"A,2020-01-01,35,{cytology},{results}"), session)["risk_cin2-3y"].iloc[0])

    def test_channels_without_an_overall_result_say_what_they_say_with_it(self, history: ModelSession) -> None:
        assert self.risk(history, ",,,positive") == pytest.approx(self.risk(history, "positive,,,positive"))
        assert self.risk(history, ",negative,negative,negative") == pytest.approx(
            self.risk(history, "negative,negative,negative,negative")
        )
        assert self.risk(history, ",,,positive") > self.risk(history, ",negative,negative,negative")
        assert self.risk(history, ",positive,,", "NILM") == pytest.approx(self.risk(history, "positive,positive,,", "NILM"))

    def test_one_negative_channel_is_not_a_negative_test(self) -> None:
        assert visits("A,2020-01-01,35,NILM,,negative,negative,").frame["hpv_result"].isna().all()

    def test_contradictions_are_listed_their_women_marked_and_nothing_averaged(
        self, cases_dir: Path, history: ModelSession
    ) -> None:
        table = case(cases_dir, "v31_contradict_hpv.csv")
        assert table.losses["contradictions"].to_dict() == {"C1": 1, "C2": 1, "C3": 1, "C6": 1}
        assert [problem.patient for problem in table.problems] == ["C1", "C2", "C3", "C6"]
        by_woman = table.frame.set_index("patient_id")
        assert by_woman.loc[["C1", "C2", "C3"], ["hpv_result", "hpv_16", "hpv_other_hr"]].isna().all(axis=None)
        assert by_woman.loc[["C4", "C5", "C6"], "hpv_result"].tolist() == ["positive"] * 3
        assert scored(table, history).loc["C1", "rests_on"] == "1 contradiction in her file"

    @pytest.mark.parametrize(("listed", "result"), [("16", "negative"), ("negative", "positive"), ("33", "hpv")])
    def test_a_list_of_types_that_contradicts_a_result_marks_her(self, listed: str, result: str) -> None:
        column = "hpv_other_hr" if result == "hpv" else "hpv_result"
        said = "negative" if result == "hpv" else result
        table = visits(f"A,2020-01-01,HSIL,{said},{listed}", header=f"patient_id,visit_date,cytology,{column},hpv_genotypes")
        assert table.losses["contradictions"].to_dict() == {"A": 1}
        assert table.frame[column].isna().all()
        assert table.frame["cytology"].iat[0] == "HSIL"

    def test_two_rows_of_one_day_contradict_each_other_through_their_parts(self) -> None:
        table = visits("A,2020-01-01,35,NILM,negative,,,", "A,2020-01-01,35,,,positive,,")
        assert table.losses["contradictions"].to_dict() == {"A": 1}
        assert len(table.frame) == 1


class TestMeasuring:
    def test_a_visit_that_is_read_again_is_no_miss_of_the_model(self, cases_dir: Path, history: ModelSession) -> None:
        content = (cases_dir / "patients/e05_lost_visit_with_outcome.csv").read_bytes()
        labelled = labelled_patients(content, history)
        assert len(labelled.cases.frame) == 3
        assert not any("left out" in notice for notice in labelled.notices)
        sick = labelled.cases.frame.set_index("label").loc["cin3-3y"]
        assert 1 - sick["p_none"] > 0.1, "her HSIL visit counts"

    def test_women_whose_file_was_not_read_in_full_are_left_out_and_counted(self, history: ModelSession) -> None:
        rows = [
            "A,2018-01-01,30,NILM,negative,none",
            "B,2018-01-01,40,PAP IV,positive,cin3-3y",
            "C,2018-01-01,41,NILM,negative,none",
        ]
        labelled = labelled_patients(
            "\n".join(["patient_id,visit_date,age,cytology,hpv_result,outcome", *rows]).encode(), history
        )
        assert labelled.cases.frame["case"].tolist() == ["line 2", "line 4"]
        assert any("1 patients were left out" in notice for notice in labelled.notices)


def test_many_women_are_marked_one_by_one_alike(history: ModelSession) -> None:
    rng = np.random.default_rng(0)
    rows = [
        f"W{woman},{rng.choice(['2015-01-01', '2018-01-01', '2021-01-01', ''])},,{rng.choice(['NILM', 'PAP IV', 'HSIL'])},,,,"
        for woman in rng.integers(0, 30, 120)
    ]
    whole = scored(visits(*rows), history)
    assert 0 < whole["incomplete"].sum() < len(whole)
    for woman in whole.index[:12]:
        alone = scored(visits(*(row for row in rows if row.startswith(f"{woman},"))), history)
        assert alone.at[woman, "rests_on"] == whole.at[woman, "rests_on"]


def test_every_womans_counts_add_up(history: ModelSession) -> None:
    table = visits(*TestMarks.ROWS)
    scores = score_visits(table, history, histories=histories_of(table.frame, history))
    assert (scores["visits_in_file"] >= scores["visits"]).all()
