"""A bundle carries tables and what must come of them: a reader, word, code or grade that changed since stops it and says so."""

import ast
import dataclasses
import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cervix.bundle import Bundle, ModelSession, load_bundle, verify_bundle
from cervix.bundle.manifest import FeatureInput
from cervix.cli import main
from cervix.errors import BundleError
from cervix.patients import visit_cells, visits
from cervix.patients.codes import CODES
from cervix.patients.encoding import VISIT_FEATURES, features_of
from cervix.patients.golden import GoldenTables, prove_bundle, prove_variants
from cervix.patients.visit_vocabulary import CODE_COLUMNS, VISIT_COLUMNS, CodeColumn, folded
from cervix.settings import PROJECT_ROOT
from tests.bundle.altered import bundle_of_risk_models, edit_manifest, replace_file

PATIENT_MODELS = ["history", "hybrid", "risk-factors", "risk-factors-with-tests"]
ELSEWHERE = "The app makes something else of history/golden.csv than model history was made with"


@pytest.fixture(scope="module")
def contents(bundle_root: Path) -> dict[str, bytes]:
    return {path.relative_to(bundle_root).as_posix(): path.read_bytes() for path in bundle_root.glob("*/golden*")}


def fed(session: ModelSession, **changed: Any) -> ModelSession:
    """The model with another declaration of what it is fed."""
    features = FeatureInput.model_validate({**features_of(session).model_dump(), **changed})
    return dataclasses.replace(session, model=session.model.model_copy(update={"features": features}))


def with_feature(session: ModelSession, name: str, **changed: Any) -> ModelSession:
    """The model with another declaration of one input."""
    encoding = [feature.model_dump() for feature in features_of(session).encoding]
    next(feature for feature in encoding if feature["name"] == name).update(changed)
    return fed(session, encoding=encoding)


def swap_column(monkeypatch: pytest.MonkeyPatch, column: CodeColumn) -> None:
    """Let the reader read a column by another vocabulary."""
    columns = tuple(column if other.name == column.name else other for other in CODE_COLUMNS)
    monkeypatch.setattr(visit_cells, "CODE_COLUMNS", columns)
    for module in (visits, visit_cells):
        if hasattr(module, "VISIT_COLUMNS"):
            monkeypatch.setattr(module, "VISIT_COLUMNS", {**VISIT_COLUMNS, column.name: column})


@pytest.mark.parametrize("model_id", PATIENT_MODELS)
def test_every_golden_table_is_read_encoded_and_answered_as_the_bundle_says(
    model_id: str, bundle: Bundle, contents: dict[str, bytes]
) -> None:
    check = GoldenTables()(bundle.session(model_id), contents)
    assert check is not None
    assert check.passed
    assert check.cases == f"{model_id}/golden.csv"


def test_a_model_of_tiles_has_no_table(bundle: Bundle, contents: dict[str, bytes]) -> None:
    assert GoldenTables()(bundle.session("slide"), contents) is None


def test_any_changed_grade_is_refused(bundle: Bundle, contents: dict[str, bytes]) -> None:
    session, tables = bundle.session("history"), GoldenTables()
    count = 0
    for feature in features_of(session).encoding:
        for code, grade in feature.grades.items():
            for other in {None, 0.0, (grade or 0.0) + 1} - {grade}:
                changed = with_feature(session, feature.name, grades={**feature.grades, code: other})
                with pytest.raises(BundleError, match=ELSEWHERE):
                    tables(changed, contents)
                count += 1
    assert count > 100


def test_a_changed_grade_is_told_with_woman_visit_and_both_numbers(bundle: Bundle, contents: dict[str, bytes]) -> None:
    session = bundle.session("history")
    grades = {**next(feature for feature in VISIT_FEATURES if feature.name == "cytology_squamous").grades, "HSIL": 3.0}
    with pytest.raises(
        BundleError, match=r"expected features: 4 cytology_squamous of G01 at step 6; found 3\. Use a bundle that was made"
    ):
        GoldenTables()(with_feature(session, "cytology_squamous", grades=grades), contents)


def test_inputs_in_another_order_are_refused(bundle: Bundle, contents: dict[str, bytes]) -> None:
    session = bundle.session("history")
    encoding = [feature.model_dump() for feature in features_of(session).encoding]
    encoding[4], encoding[5] = encoding[5], encoding[4]
    with pytest.raises(BundleError, match=ELSEWHERE):
        GoldenTables()(fed(session, encoding=encoding), contents)


@pytest.mark.parametrize(
    ("column", "spelling"),
    [
        ("cytology", "UNSAT"), ("cytology", "II-p"), ("cytology", "within normal limits"), ("hpv_result", "inválido"),
        ("hpv_18", "+"), ("histology", "CIN2/3"), ("treatment", "none"), ("smoker", "sí"), ("colposcopy", "inadequate"),
    ],
)  # fmt: skip
def test_a_spelling_that_the_table_uses_is_missed(
    column: str, spelling: str, bundle: Bundle, contents: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    known = VISIT_COLUMNS[column]
    key = folded(spelling)
    assert key in known.spellings
    spellings = {word: code for word, code in known.spellings.items() if word != key}
    swap_column(monkeypatch, dataclasses.replace(known, spellings=spellings))
    with pytest.raises(BundleError, match=ELSEWHERE):
        GoldenTables()(bundle.session("history"), contents)


def test_a_word_that_means_another_code_now_is_refused_with_the_cell(
    bundle: Bundle, contents: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    column = VISIT_COLUMNS["cytology"]
    swap_column(monkeypatch, dataclasses.replace(column, spellings={**column.spellings, "lgsil": "HSIL"}))
    with pytest.raises(BundleError, match=r"expected features: 2 cytology_squamous of G13 at step 2; found 4"):
        GoldenTables()(bundle.session("history"), contents)
    spellings = {word: code for word, code in column.spellings.items() if word != "lgsil"}
    swap_column(monkeypatch, dataclasses.replace(column, spellings=spellings))
    with pytest.raises(BundleError, match=r"found not known; cytology 'LGSIL' was not read"):
        GoldenTables()(bundle.session("history"), contents)


def test_another_reader_of_time_is_refused(bundle: Bundle, contents: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visits, "DAYS_A_YEAR", 365.0)
    with pytest.raises(BundleError, match=f"{ELSEWHERE}: expected gap_years"):
        GoldenTables()(bundle.session("history"), contents)


class TestDeclarationsThatDoNotFitTheReader:
    """What reading alone would not show in the answers of a table."""

    def test_a_code_that_the_model_was_not_taught(self, bundle: Bundle, contents: dict[str, bytes]) -> None:
        session = bundle.session("history")
        grades = {code: grade for code, grade in features_of(session).encoding[1].grades.items() if code != "AGC"}
        with pytest.raises(BundleError, match="The app reads tables otherwise than model history was made for"):
            GoldenTables()(with_feature(session, "cytology_squamous", grades=grades), contents)

    def test_a_code_that_the_app_does_not_know(self, bundle: Bundle, contents: dict[str, bytes]) -> None:
        session = bundle.session("history")
        grades = {**features_of(session).encoding[1].grades, "ASC-X": 2.0}
        with pytest.raises(BundleError, match="expected cytology as one of the codes .*ASC-X"):
            GoldenTables()(with_feature(session, "cytology_squamous", grades=grades), contents)

    def test_ages_that_the_app_would_blank(self, bundle: Bundle, contents: dict[str, bytes]) -> None:
        changed = with_feature(bundle.session("history"), "age", limits=[10.0, 120.0])
        with pytest.raises(BundleError, match="expected age within number, 10 to 120; found number, 10 to 110"):
            GoldenTables()(changed, contents)

    def test_another_range_of_a_risk_factor(self, bundle: Bundle, contents: dict[str, bytes]) -> None:
        changed = with_feature(bundle.session("risk-factors"), "IUD (years)", limits=[0.0, 80.0])
        with pytest.raises(BundleError, match=r"expected IUD \(years\) within number, 0 to 80; found number, 0 to 60"):
            GoldenTables()(changed, contents)

    def test_more_visits_than_the_app_reads(self, bundle: Bundle, contents: dict[str, bytes]) -> None:
        with pytest.raises(BundleError, match="expected the newest 80 visits; found the newest 60"):
            GoldenTables()(fed(bundle.session("history"), visits=80), contents)

    def test_a_column_that_the_app_does_not_have(self, bundle: Bundle, contents: dict[str, bytes]) -> None:
        changed = with_feature(bundle.session("history"), "smoker", column="parity")
        with pytest.raises(BundleError, match="expected a column parity; found none of that name"):
            GoldenTables()(changed, contents)


class TestABundleWithAnotherTable:
    """The files hang together and the graphs answer: only the table tells."""

    RISK = "risk-factors/golden.csv"

    @pytest.fixture
    def copy(self, tmp_path: Path) -> Path:
        return bundle_of_risk_models(tmp_path / "bundle")

    def test_as_it_was_made_it_proves_itself(self, copy: Path) -> None:
        assert set(prove_bundle(copy, device="cpu").sessions) == {"risk-factors", "risk-factors-with-tests"}
        assert [check.cases for check in prove_variants(copy, device="cpu") if check.passed] == [
            f"{model}/{name}" for model in ("risk-factors", "risk-factors-with-tests") for name in ("golden.npz", "golden.csv")
        ]  # fmt: skip

    @pytest.mark.parametrize(
        ("was", "becomes", "sentence"),
        [
            (r"\nG-HIGH,110,", "\nG-HIGH,109,", "expected features: 110 Age of G-HIGH at step 1; found 109"),
            (r"\nG-HIGH,110,", "\nG-HIGH,111,", "found not known; Age '111' was not read"),
            (r"\nSAMPLE-0020.*", "\n", r"expected features: float32 \(22, 1, 32\); found float32 \(21, 1, 32\)"),
            (r"(?s).*", "\n", "a table that can be read"),
            (r"(?s).+", "a,b\n1,2\n", "a table that can be read"),
        ],
    )
    def test_another_table_is_refused(self, copy: Path, was: str, becomes: str, sentence: str) -> None:
        text = (copy / self.RISK).read_text(encoding="utf-8")
        replace_file(copy, self.RISK, re.sub(was, becomes, text, count=1).encode())
        load_bundle(copy, device="cpu")
        with pytest.raises(BundleError, match=sentence):
            prove_bundle(copy, device="cpu")
        with pytest.raises(BundleError, match=sentence):
            prove_variants(copy, device="cpu")

    def test_the_command_refuses_it_with_the_sentence(self, copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
        changed = (copy / self.RISK).read_text(encoding="utf-8").replace("\nG-HIGH,110,", "\nG-HIGH,109,")
        replace_file(copy, self.RISK, changed.encode())
        assert main(["bundle", "verify", str(copy), "--device", "cpu"]) != 0
        assert "The app makes something else of risk-factors/golden.csv" in "".join(capsys.readouterr())

    def test_other_answers_are_a_failed_check(self, copy: Path) -> None:
        name = "risk-factors/golden-table.npz"
        with np.load(copy / name) as archive:
            arrays = {key: archive[key] for key in archive.files}
        buffer = io.BytesIO()
        np.savez(buffer, **{**arrays, "fp32:risk": arrays["fp32:risk"] + np.float32(0.01)})
        replace_file(copy, name, buffer.getvalue())
        assert [check.cases for check in prove_variants(copy, device="cpu") if not check.passed] == [self.RISK]
        with pytest.raises(BundleError, match=r"does not reproduce its golden vectors on .* \(risk-factors/golden.csv\)"):
            prove_bundle(copy, device="cpu")
        replace_file(copy, name, b"nothing of the kind")
        with pytest.raises(BundleError, match=r"golden-table.npz does not hold the arrays of risk-factors/golden.csv"):
            prove_bundle(copy, device="cpu")

    def test_a_model_of_patients_without_a_table_does_not_follow_the_schema(self, copy: Path) -> None:
        edit_manifest(copy, lambda manifest: manifest["models"][0]["features"].pop("golden_table"))
        with pytest.raises(BundleError, match="does not follow the schema at models.0.features.golden_table"):
            verify_bundle(copy, device="cpu")


def test_app_command_and_trainer_prove_bundles_with_their_tables() -> None:
    sources = [path for room in ("cervix", "pages", "training") for path in (PROJECT_ROOT / room).rglob("*.py")]
    below = [path for path in sources if path.parent != PROJECT_ROOT / "cervix/bundle" and path.name != "golden.py"]
    called = {
        node.func.id
        for path in below
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert {"prove_bundle", "prove_variants"} <= called
    assert not {"load_bundle", "verify_bundle"} & called


NEW_CODE = '            Code("ASC-X", (2, 1), _HIGH, _AT_ANY_RISK),\n'
WITH_NEW_CODE = """
import importlib.abc, importlib.util, json, sys
from pathlib import Path

import cervix.patients

path = Path(cervix.patients.__file__).with_name("codes.py")
text = path.read_text(encoding="utf-8").replace('            Code("LSIL"', NEW_CODE + '            Code("LSIL"', 1)
spec = importlib.util.spec_from_loader("cervix.patients.codes", loader=None)
codes = sys.modules["cervix.patients.codes"] = importlib.util.module_from_spec(spec)
exec(text, vars(codes))

import numpy as np
from cervix.patients.encoding import encoding_named
from cervix.patients.charts import timeline_figure
from cervix.patients.guideline import COLPOSCOPY_CYTOLOGY
from cervix.patients.sequences import encode
from cervix.patients.visits import read_visits
from training.history.golden_table import golden_visits_csv

table = read_visits(b"patient_id,visit_date,age,cytology\\nA,2020-01-01,40,asc x\\n")
features = encode(table.frame, encoding_named(["cytology_squamous", "cytology_glandular"]), None).features
drawn = {trace.name: list(trace.text or ()) for trace in timeline_figure(table.frame).data}
rows = {"rows": golden_visits_csv().count("ASC-X")}
print(json.dumps({
    "read": [str(code) for code in table.frame["cytology"]], "encoded": features.tolist(), "drawn": drawn,
    "refers": "ASC-X" in COLPOSCOPY_CYTOLOGY, **rows,
}))
"""


def test_a_new_cytology_code_is_one_line() -> None:
    assert 'Code("LSIL"' in (PROJECT_ROOT / "cervix/patients/codes.py").read_text(encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", f"NEW_CODE = {NEW_CODE!r}\n{WITH_NEW_CODE}"], capture_output=True, text=True, check=False,
        cwd=PROJECT_ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["read"] == ["ASC-X"]
    assert found["encoded"] == [[2.0, 1.0]]
    assert found["drawn"] == {"normal or negative": [], "low-grade": [], "high-grade or positive": ["ASC-X"]}
    assert found["refers"]
    assert found["rows"] == 1


def test_a_bundle_that_was_not_taught_a_new_code_is_refused(
    bundle: Bundle, contents: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    column = VISIT_COLUMNS["cytology"]
    entries = (*column.entries, dataclasses.replace(CODES["cytology"].codes[-1], name="ASC-X"))
    swap_column(monkeypatch, dataclasses.replace(column, entries=entries))
    with pytest.raises(BundleError, match="The model was not taught every code of cytology.*found also ASC-X"):
        GoldenTables()(bundle.session("history"), contents)
