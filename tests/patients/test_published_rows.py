"""Where a history is published, its management is the step; every other waits no longer than the nearest published row."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
import pypdf
import pytest

from cervix.bundle import Bundle, ModelSession
from cervix.cli import main
from cervix.errors import BundleError
from cervix.interop.fhir.women import risk_bundle
from cervix.patients.guideline import RULES, PublishedTables, Step, published_tables, step_columns, step_for, with_steps
from cervix.patients.guideline.published import AT_COLPOSCOPY
from cervix.patients.history_scoring import score_visits
from cervix.patients.report import write_patient_report
from cervix.patients.visits import read_visits
from cervix.provenance import provenance_of
from cervix.settings import get_settings
from tests.bundle.published import published_table
from tests.patients.published_women import (
    COTEST,
    FIRST,
    HPV_ALONE,
    TODAY,
    rounds_at_colposcopy,
    rounds_of_row,
    visits_csv,
)

STEPS = {
    "5-year follow-up": "Return in 5 years",
    "3-year follow-up": "Return in 3 years",
    "1-year follow-up": "Return in 1 year",
    "Colposcopy": "Colposcopy",
    "Colposcopy/Treatment": "Expedited treatment or colposcopy",
    "Treatment": "Expedited treatment preferred",
}
Rounds = list[dict[str, str]]
POSITIVE_NILM = {"hpv_result": "positive", "cytology": "NILM"}
POSITIVE_LSIL = {"hpv_result": "positive", "cytology": "LSIL"}
NORMAL = {"colposcopy": "normal"}
STAYED, NEGATIVE_LSIL, NEGATIVE_ASC_US = "HPV-positive/NILM", FIRST["HPV-negative/LSIL"], FIRST["HPV-negative/ASC-US"]
SMEAR = {"cytology": "NILM"}
LOW, HIGH, TREATED = FIRST["Low Grade"], FIRST["High Grade"], FIRST["CIN 2 or 3"]


@pytest.fixture(scope="module")
def history(bundle: Bundle) -> ModelSession:
    return bundle.session("history")


@pytest.fixture(scope="module")
def frame(data_dir: Path) -> pd.DataFrame:
    """The tables of a bundle, with the blanks of the publication."""
    raw = pd.read_csv(data_dir / "tables/asccp_2019_risks.csv")
    return published_table(data_dir).assign(history=raw["history"])


@pytest.fixture(scope="module")
def tables(frame: pd.DataFrame) -> PublishedTables:
    return PublishedTables.of(frame)


@pytest.fixture(scope="module")
def steps(frame: pd.DataFrame, tables: PublishedTables, history: ModelSession) -> dict[int, Step]:
    """Position of each published row -> the step for a woman made from its words."""
    table = read_visits(visits_csv({f"{at}": rounds_of_row(*row) for at, row in rows_of(frame)}))
    assert not table.problems
    scores = score_visits(table, history).set_index("patient_id", drop=False)
    return {
        int(str(woman)): step_for(visits, scores.loc[woman], history.model, tables, today=TODAY)
        for woman, visits in table.frame.groupby("patient_id")
    }


def rows_of(frame: pd.DataFrame) -> list[tuple[int, tuple[str, str, str]]]:
    return list(enumerate(frame[["history", "hpv", "cytology"]].itertuples(index=False, name=None)))


def step(history: ModelSession, tables: PublishedTables | None, rounds: Rounds, *, age: int = 40, **risks: float) -> Step:
    table = read_visits(visits_csv({"A": rounds}, age=age))
    scores = score_visits(table, history).iloc[0]
    for task, risk in risks.items():
        scores[f"risk_cin3-{task}"] = scores[f"after_treatment_cin3-{task}"] = risk
    return step_for(table.frame, scores, history.model, tables, today=TODAY)


def test_every_published_management_is_the_step_of_a_woman_with_that_history(
    frame: pd.DataFrame, steps: dict[int, Step]
) -> None:
    managed = frame[frame["management"] != ""]
    assert len(managed) == 165
    found = {at: steps[at].action for at in managed.index}
    assert found == {at: STEPS[management] for at, management in managed["management"].items()}


def test_it_rests_on_that_row_and_says_so(frame: pd.DataFrame, steps: dict[int, Step]) -> None:
    for at, row in frame[frame["management"] != ""].iterrows():
        found = steps[int(str(at))]
        assert found.found is not None
        assert found.found.exact
        assert (found.found.row.women, found.found.row.management) == (row["women"], row["management"])
        assert found.rests_on == f"published (ASCCP 2019, {row['women']:,.0f} women)"


def test_rows_without_a_management_are_read_by_the_ladder_and_one_without_risks_is_none(
    frame: pd.DataFrame, steps: dict[int, Step]
) -> None:
    told = {
        (frame.at[at, "history"], frame.at[at, "hpv"]): (steps[at].action, steps[at].published)
        for at in frame.index[frame["management"] == ""]
    }
    assert told == {
        ("NO HISTORY", "HPV-positive"): ("Return in 1 year", False),
        ("HPV-negative/LSIL", "HPV-negative"): ("Return in 1 year", True),
        ("HPV-negative/ASC-US", "HPV-negative"): ("Return in 3 years", True),
    }


def test_a_colposcopy_that_found_less_than_cin2_is_followed_in_a_year(
    data_dir: Path, history: ModelSession, tables: PublishedTables
) -> None:
    raw = pd.read_csv(data_dir / "tables/asccp_2019_after_colposcopy.csv")
    listed = raw[raw["referral"] != "-"]
    assert len(listed) == len(AT_COLPOSCOPY)
    for row, ours in zip(listed.to_dict("records"), AT_COLPOSCOPY, strict=True):
        assert (ours.history, ours.cytology, ours.women) == (row["referral"], row["biopsy"], row["N"])
        assert 100 * ours.cin3[1].value == pytest.approx(row["cin3_1"])
        assert 100 * ours.cin3[5].value == pytest.approx(row["cin3_5"])
        assert ours.management == row["management"]
        found = step(history, tables, rounds_at_colposcopy(row["referral"], row["biopsy"]))
        assert found.action == "Return in 1 year"
        assert found.found is not None
        assert found.found.row is ours
        assert found.found.exact


def test_after_cin3_leep_and_two_negative_cotests_she_returns_in_a_year(history: ModelSession, tables: PublishedTables) -> None:
    found = step(history, tables, [*TREATED, COTEST, COTEST])
    assert found.action == "Return in 1 year"
    assert found.rests_on == "published (ASCCP 2019, 2,087 women)"
    assert "CIN3+ 0.00% (0.00% to 0.18%) at once, 0.68% (0.14% to 1.22%) within 5 years" in found.words
    assert "Her history is published: treated for CIN2 or CIN3; two negative cotests in a row." in found.words
    assert "Beside it: model (simulated women): CIN3+ " in found.words


NEAREST: list[tuple[str, Rounds, str, str, bool]] = [
    # what, rounds, the row's history, the step at the lowest model risk, exact
    ("ten negative cotests", [COTEST] * 10, "Cotest-negative", "Return in 5 years", True),
    ("smears alone before", [SMEAR, SMEAR, COTEST], "NO HISTORY", "Return in 5 years", True),
    ("a smear alone between", [COTEST, SMEAR, POSITIVE_NILM], "Cotest-negative", "Return in 1 year", True),
    ("a cotest is an HPV test", [COTEST, HPV_ALONE, HPV_ALONE], "HPV-negative", "Return in 5 years", True),
    ("positive, three negative", [POSITIVE_NILM, *[COTEST] * 4], f"{STAYED} |  Cotest-negative x2", "Return in 3 years", True),
    ("positive, two negative, positive", [POSITIVE_NILM, COTEST, COTEST, POSITIVE_NILM],
     "HPV-positive/NILM |  Cotest-negative", "Return in 1 year", True),
    ("back to routine", [*FIRST["HPV-negative/ASC-US"], COTEST, COTEST], "Cotest-negative", "Return in 5 years", True),
    ("twice positive", [POSITIVE_NILM, POSITIVE_NILM, COTEST], "HPV-positive/NILM", "Return in 1 year", False),
    ("positive long before", [POSITIVE_NILM, COTEST, *NEGATIVE_ASC_US, COTEST], STAYED, "Return in 1 year", False),
    ("twice ASC-US", [*NEGATIVE_ASC_US, *NEGATIVE_ASC_US, COTEST], "HPV-negative/LSIL", "Return in 3 years", False),
    ("treated, no biopsy, three negative", [{"treatment": "LEEP"}, *[COTEST] * 3], "CIN 2 or 3", "Return in 3 years", False),
    ("no colposcopy done", [POSITIVE_LSIL, COTEST], STAYED, "Return in 1 year", False),
    ("LSIL, negative, positive", [*NEGATIVE_LSIL, COTEST, POSITIVE_NILM], "HPV-negative/LSIL", "Return in 1 year", False),
    ("low grade, three negative", [*LOW, *[COTEST] * 4], "Low Grade | Cotest-negative x2", "Return in 5 years", True),
    ("high grade, three negative", [*HIGH, *[COTEST] * 4], "High Grade | Cotest-negative x2", "Return in 3 years", True),
    ("low grade, positive, negative", [*LOW, POSITIVE_NILM, COTEST], "HPV-positive/NILM", "Return in 1 year", False),
    ("two negative, positive", [*HIGH, COTEST, COTEST, {"hpv_result": "positive", "cytology": "LSIL"}],
     "High Grade | Cotest-negative", "Return in 1 year", True),
    ("HPV alone, then a cotest", [*LOW, HPV_ALONE, COTEST], "Low Grade | HPV-negative", "Return in 3 years", False),
    ("why is not known", [{"histology": "CIN1"}, COTEST], "High Grade", "Return in 1 year", False),
    ("treated, four negative", [*TREATED, *[COTEST] * 4], "CIN 2 or 3", "Return in 3 years", True),
    ("treated, mixed", [*TREATED, HPV_ALONE, COTEST, COTEST], "CIN 2 or 3", "Return in 3 years", True),
    ("treated, negative, positive", [*TREATED, COTEST, POSITIVE_NILM], "CIN 2 or 3", "Colposcopy", False),
    ("treated, positive, negative", [*TREATED, POSITIVE_NILM, COTEST], "CIN 2 or 3", "Return in 1 year", False),
    ("treated, biopsy unknown", [{"cytology": "HSIL", "treatment": "LEEP"}, COTEST], "CIN 2 or 3", "Return in 1 year", False),
    ("treated, seen again", [*TREATED, *LOW], "HPV-positive ASC-US", "Return in 1 year", False),
    ("treated, seen again, negative", [*TREATED, *LOW, COTEST, COTEST], "CIN 2 or 3", "Return in 1 year", False),
    ("normal colposcopy, no biopsy", [POSITIVE_NILM | NORMAL], "HPV-positive NILM x2", "Return in 1 year", False),
    ("normal colposcopy, then", [{"cytology": "LSIL"} | NORMAL, COTEST], "Low Grade", "Return in 3 years", True),
]  # fmt: skip


@pytest.mark.parametrize(
    ("rounds", "row", "action", "exact"), [case[1:] for case in NEAREST], ids=[case[0] for case in NEAREST]
)
def test_she_waits_no_longer_than_the_nearest_row_whatever_the_model_says(
    rounds: Rounds, row: str, action: str, exact: bool, history: ModelSession, tables: PublishedTables
) -> None:
    found = step(history, tables, rounds, **{"3y": 0.0001, "5y": 0.0002})
    assert found.found is not None
    assert (found.found.row.history, found.action, found.found.exact) == (row, action, exact)
    if not exact:
        assert found.rests_on == "model (simulated women)"
        assert "Her history is not published. Nearest: " in found.words


def test_a_smear_alone_is_near_no_published_history(history: ModelSession, tables: PublishedTables) -> None:
    assert "No published history is near hers" in step(history, tables, [SMEAR]).words
    assert "published" not in step(history, None, [SMEAR]).words


def test_the_models_higher_risk_stands_where_the_history_is_not_published(
    history: ModelSession, tables: PublishedTables
) -> None:
    found = step(history, tables, [POSITIVE_NILM, POSITIVE_NILM, COTEST], **{"3y": 0.3, "5y": 0.4})
    assert found.action == "Expedited treatment or colposcopy"
    assert found.rule is None
    assert "CIN3+ 30.00% within 3 years, 40.00% within 5 years, 45 times higher than published." in found.words


@pytest.mark.parametrize(("age", "exact"), [(25, True), (65, True), (66, False)])
def test_the_tables_are_of_women_of_25_to_65(age: int, exact: bool, history: ModelSession, tables: PublishedTables) -> None:
    found = step(history, tables, [POSITIVE_NILM], age=age, **{"3y": 0.0001, "5y": 0.0002})
    assert found.published == exact
    assert found.action == "Return in 1 year"


RULED: list[tuple[int, Rounds, str]] = [
    (1, [{"cytology": "HSIL"}, COTEST], "Colposcopy"),
    (1, [{"cytology": "AGC-FN"}], "Colposcopy"),
    (1, [{"cytology": "AIS"}], "Colposcopy"),
    (1, [{"cytology": "ASC-H", "colposcopy": "low-grade"}], "Colposcopy"),
    (2, [{"hpv_result": "positive", "hpv_16": "positive"}], "Colposcopy"),
    (2, [*LOW, POSITIVE_NILM | {"hpv_18": "positive"}], "Colposcopy"),
    (5, [SMEAR], "Return in 3 years"),
    (5, [{"cytology": "ASC-US"}], "Return in 1 year"),
    (5, [{"cytology": "LSIL"}], "Colposcopy"),
    (5, [*LOW, SMEAR], "Return in 1 year"),
    (5, [*TREATED, SMEAR], "Return in 1 year"),
    (6, [{"colposcopy": "low-grade"}], "Colposcopy"),
    (6, [COTEST | {"colposcopy": "high-grade"}, COTEST], "Colposcopy"),
]


@pytest.mark.parametrize(("rule", "rounds", "action"), RULED)
def test_no_risk_overrides_a_rule(
    rule: int, rounds: Rounds, action: str, history: ModelSession, tables: PublishedTables
) -> None:
    found = step(history, tables, rounds, **{"3y": 0.0001, "5y": 0.0002})
    assert found.action == action
    assert found.rule is not None
    assert found.rule.number == rule
    assert f"(rule {rule}: " in found.headline


@pytest.mark.parametrize(
    ("rule", "rounds", "reason"),
    [
        (7, TREATED, "no test has followed the treatment"),
        (7, [*TREATED, COTEST, {"treatment": "ablation"}], "no test has followed the treatment"),
        (8, [COTEST, {"cytology": "UNSAT"}], "her last test gave no result"),
        (8, [COTEST, {"cytology": "UNSAT", "hpv_result": "negative"}], "her last test gave no result"),
        (8, [COTEST, {"hpv_result": "invalid"}], "her last test gave no result"),
        (9, [{"cytology": "HSIL", "histology": "CIN2"}, COTEST], "Diagnosis known"),
        (10, [{"cytology": "AIS", "histology": "AIS", "treatment": "cone"}, COTEST], "adenocarcinoma in situ"),
    ],
)
def test_where_the_guideline_asks_for_something_else_there_is_no_step(
    rule: int, rounds: Rounds, reason: str, history: ModelSession, tables: PublishedTables
) -> None:
    found = step(history, tables, rounds)
    assert (found.action, found.rests_on, found.lines) == ("", "", ())
    assert reason in found.reason
    assert found.rule is not None
    assert found.rule.number == rule


def test_facts_of_one_round_on_rows_up_to_90_days_apart_are_one_round(history: ModelSession, tables: PublishedTables) -> None:
    header = "patient_id,visit_date,age,cytology,hpv_result,histology,treatment,pregnant\n"

    def of(*rows: str) -> Step:
        table = read_visits((header + "\n".join(rows)).encode())
        return step_for(table.frame, score_visits(table, history).iloc[0], history.model, tables, today=TODAY)

    apart = of("A,2025-03-01,40,LSIL,,,,no", "A,2025-04-01,40,,positive,,,no", "A,2025-05-30,40,,,CIN1,,no")
    later = of("A,2025-02-01,40,LSIL,positive,,,no", "A,2025-07-01,40,,,CIN1,,no")
    for found in (apart, later):
        assert found.found is not None
        assert (found.found.row.history, found.found.exact) == ("HPV-positive LSIL", True)
    early = of("A,2024-03-01,40,HSIL,positive,CIN3,LEEP,no", "A,2024-05-30,40,NILM,negative,,,no")
    assert early.rule is not None
    assert early.rule.number == 7
    tested = of("A,2024-03-01,40,HSIL,positive,CIN3,LEEP,no", "A,2024-05-31,40,NILM,negative,,,no")
    assert (tested.action, tested.published) == ("Return in 1 year", True)


def test_a_management_that_is_no_step_is_refused(frame: pd.DataFrame) -> None:
    with pytest.raises(BundleError, match="no step of the ladder.*Wait and see"):
        PublishedTables.of(frame.assign(management="Wait and see"))


def test_without_published_risks_the_ladder_stands_alone_and_treated_women_get_no_step(history: ModelSession) -> None:
    alone = step(history, None, [COTEST], **{"3y": 0.0001, "5y": 0.0002})
    assert (alone.action, alone.rests_on) == ("Return in 5 years", "model (simulated women)")
    treated = step(history, None, [*TREATED, COTEST, COTEST])
    assert (treated.action, treated.reason[:15]) == ("", "after treatment")


def test_a_model_that_may_not_stand_on_the_ladder_leaves_the_published_risk(
    history: ModelSession, tables: PublishedTables
) -> None:
    untested = history.model.model_copy(update={"calibration": history.model.calibration.model_copy(update={"tests": []})})
    table = read_visits(visits_csv({"A": [COTEST], "B": [SMEAR]}))
    scores = score_visits(table, history)
    published, none = step_columns(table.frame, scores, untested, tables, today=TODAY).to_dict("records")
    assert published["guideline_step"] == "Return in 5 years"
    assert none["guideline_step"] == ""
    assert "calibration did not pass" in none["guideline_reason"]


def test_the_columns_of_a_list_say_what_the_steps_of_its_women_say(
    frame: pd.DataFrame, steps: dict[int, Step], tables: PublishedTables, history: ModelSession
) -> None:
    table = read_visits(visits_csv({f"{at}": rounds_of_row(*row) for at, row in rows_of(frame)}))
    scores = score_visits(table, history)
    columns = step_columns(table.frame, scores, history.model, tables, today=TODAY)
    assert list(columns.index) == list(scores.index)
    for woman, line in zip(scores["patient_id"], columns.to_dict("records"), strict=True):
        assert line["guideline_step"] == steps[int(woman)].action
        assert line["guideline_rests_on"] == steps[int(woman)].rests_on


def test_the_rules_are_numbered_and_stand_with_their_sources_in_the_clinical_page() -> None:
    page = (Path(__file__).parents[2] / "docs/clinical.md").read_text(encoding="utf-8")
    assert [rule.number for rule in RULES] == list(range(1, len(RULES) + 1))
    for rule in RULES:
        assert f"| {rule.number} | {rule.says} | {rule.source} |" in page


def test_words_of_the_tables_are_said_for_people(steps: dict[int, Step]) -> None:
    said: dict[int, Any] = {at: found.found.row.words for at, found in steps.items() if found.found}
    assert said[0] == "no earlier HPV test known; now HPV-negative, NILM"
    assert said[6] == "no earlier HPV test known; now HPV-negative, smear not known"
    assert said[109] == "HPV-positive NILM and then two negative cotests; now HPV-negative, NILM"
    assert said[139].startswith("less than CIN2 at colposcopy after a low-grade referral and then a negative cotest; now")
    assert said[166] == "treated for CIN2 or CIN3; three negative HPV tests in a row"


class TestExports:
    """The step goes wherever the scores go, with whose risk it rests on."""

    ROUNDS: ClassVar[Rounds] = [*TREATED, COTEST, COTEST]
    RESTS_ON = "published (ASCCP 2019, 2,087 women)"

    def test_a_bundle_is_asked_for_its_tables(self, published_bundle: Bundle, bundle: Bundle, tables: PublishedTables) -> None:
        found = published_tables(published_bundle, published_bundle.manifest.model("history"))
        assert found is not None
        assert [row.women for row in found.rows] == [row.women for row in tables.rows]
        assert published_tables(bundle, bundle.manifest.model("history")) is None

    def test_another_model_of_histories_rests_on_the_same_tables_unless_nobody_measured_it(
        self, published_bundle: Bundle, tables: PublishedTables
    ) -> None:
        model = published_bundle.manifest.model("history")
        bare = model.measured.model_copy(update={"published_risks": None})
        found = published_tables(published_bundle, model.model_copy(update={"id": "other", "evaluation": bare}))
        assert found is not None
        assert len(found.rows) == len(tables.rows)
        assert published_tables(published_bundle, model.model_copy(update={"id": "other", "evaluation": None})) is None

    def test_fhir_has_a_note_of_it(self, published_bundle: Bundle) -> None:
        session = published_bundle.session("history")
        table = read_visits(visits_csv({"A": self.ROUNDS, "B": TREATED, "C": [*LOW, POSITIVE_NILM | {"hpv_16": "positive"}]}))
        scores = with_steps(score_visits(table, session), table.frame, published_bundle, session.model, today=TODAY)
        written = risk_bundle(scores, table.frame, session.model, provenance_of(published_bundle, "history"))
        notes = [
            [note["text"] for note in entry["resource"]["note"] if "uideline step" in note["text"]]
            for entry in written["entry"] if entry["resource"]["resourceType"] == "RiskAssessment"
        ]  # fmt: skip
        assert notes == [
            [f"Guideline step, no advice: Return in 1 year. Risk: {self.RESTS_ON}."],
            ["No guideline step: rule 7: no test has followed the treatment; the guideline asks for one with HPV 6 months "
             "after it."],
            ["Guideline step, no advice: Colposcopy. Risk: published (ASCCP 2019, 9,352 women). "
             "By rule 2: HPV 16 calls for colposcopy at any risk."],
        ]  # fmt: skip

    def test_her_paper_says_it_in_words(self, published_bundle: Bundle, tmp_path: Path) -> None:
        session = published_bundle.session("history")
        table = read_visits(visits_csv({"A": self.ROUNDS}))
        row = score_visits(table, session).iloc[0]
        words = step_for(table.frame, row, session.model, published_tables(published_bundle, session.model), today=TODAY).words
        write_patient_report(
            table.frame, row, None, session, provenance_of(published_bundle, "history"), words, tmp_path / "her.pdf"
        )
        text = " ".join("\n".join(page.extract_text() for page in pypdf.PdfReader(tmp_path / "her.pdf").pages).split())
        assert "For this history the guideline says: Return in 1 year." in text
        assert f"Risk shown: {self.RESTS_ON}: CIN3+ 0.00% (0.00% to 0.18%) at once" in text

    @pytest.mark.usefixtures("home")
    def test_the_command_line_writes_it_beside_each_score(
        self, published_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CERVIX_BUNDLE_DIR", str(published_root))
        get_settings.cache_clear()
        content = visits_csv({"A": self.ROUNDS, "B": TREATED}, last=date.today() - timedelta(days=30))
        (tmp_path / "visits.csv").write_bytes(content)
        assert main(["patients", str(tmp_path / "visits.csv"), "--out", str(tmp_path / "out.csv"), "--device", "cpu"]) == 0
        written = pd.read_csv(tmp_path / "out.csv", keep_default_na=False)
        assert written["guideline_step"].tolist() == ["Return in 1 year", ""]
        assert written["guideline_rests_on"].tolist() == [self.RESTS_ON, ""]
        assert written["guideline_reason"].tolist()[1].startswith("rule 7: no test has followed")
