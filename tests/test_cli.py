"""The command line does the app's work, with one sentence and an exit code where it cannot."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from cervix import RESEARCH_NOTICE
from cervix.bundle import Bundle, GoldenCheck, ModelSession, load_bundle, loading
from cervix.bundle.loading import replay_golden
from cervix.card.formats import card_file
from cervix.cli import main
from cervix.evaluation.comparison import figures_table
from cervix.evaluation.heldout import held_out
from cervix.labels import open_store
from cervix.patients.sample import sample_table_csv
from cervix.promotion import proving
from cervix.settings import PROJECT_ROOT, get_settings
from cervix.sources.apart import run_apart
from tests.bundle.altered import bundle_of_risk_models, candidate_of_risk_models, change_predictions


@pytest.fixture(autouse=True)
def _made_bundle(bundle_root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Commands that name no bundle use the made one."""
    monkeypatch.setenv("CERVIX_BUNDLE_DIR", str(bundle_root))
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


def test_verify_prints_a_table_and_succeeds(bundle_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bundle", "verify", str(bundle_root), "--device", "cpu"]) == 0
    printed = capsys.readouterr().out
    for word in ("slide/fp16.onnx", "slide/int8.onnx", "CPUExecutionProvider", "largest golden difference", "ok"):
        assert word in printed


def test_verify_fails_on_a_damaged_bundle(bundle_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(bundle_root, tmp_path / "bundle")
    damaged = tmp_path / "bundle/slide/golden.npz"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    assert main(["bundle", "verify", str(tmp_path / "bundle")]) == 1
    assert capsys.readouterr().err.startswith("error: slide/golden.npz has changed")


def test_the_real_slide_is_scored_into_a_table_and_a_summary(
    data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slide = data_dir / "slides/CMU-1-Small-Region.svs"
    assert main(["slide", str(slide), "--out", str(tmp_path), "--device", "cpu"]) == 0
    tiles = pd.read_csv(tmp_path / "CMU-1-Small-Region-tiles.csv")
    summary = json.loads((tmp_path / "CMU-1-Small-Region-summary.json").read_text(encoding="utf-8"))
    assert len(tiles) == summary["answer"]["tiles"] == 56
    assert set(tiles["notice"]) == {RESEARCH_NOTICE}
    assert "56 tiles in" in capsys.readouterr().out


def test_a_slide_without_scale_is_scored_once_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    from cervix.slides.phantom import phantom_region

    picture = tmp_path / "picture.png"
    Image.fromarray(phantom_region(500, 500, seed=1)).save(picture)
    assert main(["slide", str(picture), "--out", str(tmp_path)]) == 1
    assert "does not state its scale" in capsys.readouterr().err
    assert main(["slide", str(picture), "--out", str(tmp_path), "--mpp", "0.5", "--device", "cpu"]) == 0
    assert len(pd.read_csv(tmp_path / "picture-tiles.csv")) == 8  # the last column and row moved in


@pytest.mark.parametrize("name", ["zero_byte.svs", "text_renamed.svs", "opens_but_unreadable.svs", "cmu_truncated_50pct.svs"])
def test_a_broken_slide_is_one_sentence_and_exit_1(
    data_dir: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["slide", str(data_dir / "slides/broken" / name), "--out", str(tmp_path), "--device", "cpu"]) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ")
    assert not list(tmp_path.iterdir())


def test_the_uci_table_is_scored_row_by_row(data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = data_dir / "tables/uci_risk_factors_cervical_cancer.csv"
    assert main(["patients", str(table), "--out", str(tmp_path / "out.csv"), "--device", "cpu"]) == 0
    scores = pd.read_csv(tmp_path / "out.csv")
    assert scores["row"].tolist() == list(range(2, 860))
    assert scores.loc[~scores["abstained"], "risk"].between(0, 1).all()
    assert scores.loc[scores["abstained"], "risk"].isna().all()
    assert (scores["abstained"] == (scores["known_share"] < 0.5)).all()
    assert scores["abstained"].any()
    assert set(scores["notice"]) == {RESEARCH_NOTICE}
    assert "858 patients scored" in capsys.readouterr().out


def test_what_a_file_leaves_open_is_answered_by_options(
    cases_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    order = ["patients", str(cases_dir / "patients/v10_dates_dot.csv"), "--out", str(tmp_path / "out.csv"), "--device", "cpu"]
    assert main(order) == 1
    assert "--dates dmy" in capsys.readouterr().err
    assert main([*order, "--dates", "dmy"]) == 0
    assert pd.read_csv(tmp_path / "out.csv")["last_visit"].tolist() == ["2021-03-04", "2022-07-01"]
    order[1] = str(cases_dir / "patients/v29_hpv_spellings.csv")
    assert main(order) == 0
    assert "--minus negative or not-done" in capsys.readouterr().err
    assert main([*order, "--minus", "negative"]) == 0
    assert "question" not in capsys.readouterr().err


def test_bad_cells_are_named_and_their_rows_marked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = sample_table_csv(3).splitlines()
    cells = lines[2].split(",")
    cells[1] = "forty"
    table = tmp_path / "table.csv"
    table.write_text("\n".join([lines[0], lines[1], ",".join(cells), lines[3]]))
    assert main(["patients", str(table), "--out", str(tmp_path / "out.csv"), "--device", "cpu"]) == 0
    assert "not known: row 3, patient SAMPLE-0002, column Age" in capsys.readouterr().err
    written = pd.read_csv(tmp_path / "out.csv", keep_default_na=False)
    assert written["row"].tolist() == [2, 3, 4]
    assert written["rests_on"].tolist() == ["", "1 cell could not be read", ""]
    assert main(["patients", str(table), "--out", str(tmp_path / "strict.csv"), "--strict"]) == 1
    assert not (tmp_path / "strict.csv").exists()


def test_what_the_model_does_not_read_is_noted_and_what_it_was_not_taught_is_a_column(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "visits.csv"
    table.write_text("patient_id,visit_date,age,cytology,via\nA,2024-01-08,18,NILM,negative\nB,2024-01-08,40,NILM,\n")
    assert main(["patients", str(table), "--out", str(tmp_path / "out.csv"), "--device", "cpu"]) == 0
    assert "note: VIA is not read by history" in capsys.readouterr().err
    written = pd.read_csv(tmp_path / "out.csv", keep_default_na=False)
    assert written["beyond_training"].tolist() == ["Age (years) 18, in training 21 to 75", ""]


@pytest.mark.parametrize(
    ("kind", "beginning"), [("md", b"---"), ("html", b"<!DOCTYPE html>"), ("pdf", b"%PDF-"), ("xml", b"<?xml")]
)
def test_the_model_card_is_written_in_every_format(
    kind: str, beginning: bytes, bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / f"card.{kind}"
    assert main(["card", "--format", kind, "--out", str(out), "--device", "cpu"]) == 0
    assert out.read_bytes().startswith(beginning)
    assert RESEARCH_NOTICE in capsys.readouterr().out
    if kind != "pdf":
        assert out.read_bytes() == card_file(bundle, kind)


def test_the_xml_is_of_the_model_asked_for(tmp_path: Path) -> None:
    out = tmp_path / "card.xml"
    assert main(["card", "--format", "xml", "--model", "hybrid", "--out", str(out), "--device", "cpu"]) == 0
    assert "<ModelName>History and slide together</ModelName>" in out.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--format", "xml", "--model", "lung"], "The bundle has no such model: expected one of slide"),
        (["--format", "pdf", "--model", "slide"], "A card as pdf is of the whole bundle"),
        (["--format", "xml", "--bundle", "nowhere"], "The bundle has no readable manifest"),
    ],
)
def test_a_card_that_cannot_be_made_is_one_sentence(
    options: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["card", *options, "--out", str(tmp_path / "card")]) == 1
    assert capsys.readouterr().err.startswith(f"error: {said}")
    assert not list(tmp_path.iterdir())


def test_a_card_that_cannot_be_written_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert main(["card", "--format", "xml", "--out", str(tmp_path / "file/card.xml"), "--device", "cpu"]) == 1
    assert "file/card.xml cannot be written" in capsys.readouterr().err


def test_the_module_runs_as_a_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cervix", "slide", "nowhere.svs", "--out", "."], cwd=PROJECT_ROOT, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: There is no such slide file")
    assert "Traceback" not in done.stderr


def test_evaluate_prints_the_held_out_figures_of_the_page_and_writes_them(
    bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = bundle.session("risk-factors").model
    report = held_out(bundle, model, model.main_task, 0.3).report()
    assert main(["evaluate", "risk-factors", "--threshold", "0.3", "--out", str(tmp_path / "out.csv"), "--device", "cpu"]) == 0
    printed = capsys.readouterr().out
    assert f"{report.n:,} cases of {model.measured.predictions}" in printed
    assert f"true positive {report.true_positive:,}, false positive {report.false_positive:,}" in printed
    written = pd.read_csv(tmp_path / "out.csv", dtype=str)
    assert written["value"].tolist() == figures_table(report)["value"].tolist()
    assert set(written["notice"]) == {RESEARCH_NOTICE}


def test_evaluate_takes_a_labelled_table_and_says_how_far_it_lies_from_the_test_set(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = data_dir / "tables/uci_risk_factors_cervical_cancer.csv"
    assert main(["evaluate", "risk-factors", "--labelled", str(table), "--device", "cpu"]) == 0
    printed = capsys.readouterr().out
    assert "without an answer: 101" in printed
    assert "stability index" in printed


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nothing"], "The bundle has no such model"),
        (["slide", "--task", "cin3"], "Model slide has no such question"),
        (["slide", "--threshold", "3"], "There is no such threshold"),
        (["slide", "--labelled", "missing.zip"], "missing.zip cannot be read"),
    ],
)
def test_what_evaluate_cannot_do_is_one_sentence(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", *arguments, "--device", "cpu"]) == 1
    assert sentence in capsys.readouterr().err


def test_compare_prints_the_verdict_and_writes_the_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    active, other = bundle_of_risk_models(tmp_path / "active"), bundle_of_risk_models(tmp_path / "candidate")
    change_predictions(other, "risk-factors", lambda frame: frame.assign(p_yes=frame["p_no"], p_no=frame["p_yes"]))
    assert main(["compare", str(active), str(other), "--out", str(tmp_path / "out.md"), "--device", "cpu"]) == 0
    printed = capsys.readouterr().out
    assert "AUROC falls by less than 0.02: not met" in printed
    assert "Keep the active bundle." in printed
    assert "Keep the active bundle." in (tmp_path / "out.md").read_text(encoding="utf-8")
    assert main(["compare", str(active), str(tmp_path / "nowhere"), "--device", "cpu"]) == 1
    assert "The bundle has no readable manifest" in capsys.readouterr().err


@pytest.mark.slow
def test_compare_on_a_slide_says_as_json_where_two_bundles_agree(
    four_class_root: Path, two_class_root: Path, four_class_slide: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundles = [str(four_class_root), str(two_class_root), "--device", "cpu"]
    assert main(["compare", *bundles, "--slide", str(four_class_slide)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["a"]["verdict"], told["b"]["verdict"]) == ("cancer", "cancer")
    assert told["agreement"]["tiles"] == {"a": 40, "b": 40}
    assert told["agreement"]["same_role"]["value"] == pytest.approx(0.5, abs=0.1), "normal, and dysplasia that B calls a tumour"
    assert told["agreement"]["same_class"] is None
    assert told["notice"] == RESEARCH_NOTICE


def test_a_candidate_is_promoted_and_rolled_back_and_the_active_bundle_is_what_scores(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CERVIX_BUNDLE_DIR", str(bundle_of_risk_models(tmp_path / "shipped")))
    get_settings.cache_clear()
    candidate_of_risk_models(home / "bundles/better", "0.9.0")
    worse = candidate_of_risk_models(home / "bundles/worse", "0.9.1", worse=True)
    assert main(["bundle", "active"]) == 0
    assert "the bundle that ships with the app" in capsys.readouterr().out
    assert main(["bundle", "promote", "better", "--by", "Ada"]) == 0
    printed = capsys.readouterr().out
    assert "Promote: every rule is met" in printed
    assert "promoted: made-for-tests 0.9.0" in printed
    assert main(["bundle", "promote", str(worse)]) == 1
    assert "a written reason of 10 to 1,000 characters" in capsys.readouterr().err
    assert main(["bundle", "promote", str(worse), "--reason", "The clinic wants to try it."]) == 0
    capsys.readouterr()
    assert main(["bundle", "active"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].endswith(f"in {worse}")
    assert "by command line, against the rules, because: The clinic wants to try it." in printed[1]
    assert "UTC by Ada" in printed[2]
    assert main(["bundle", "verify"]) == 0
    assert main(["evaluate", "risk-factors"]) == 0
    assert "made-for-tests 0.9.1" in capsys.readouterr().out
    assert main(["bundle", "roll-back", "--by", "Bea"]) == 0
    assert "active again: made-for-tests 0.9.0" in capsys.readouterr().out
    assert main(["bundle", "roll-back"]) == 0
    capsys.readouterr()
    assert main(["bundle", "roll-back"]) == 1
    assert "There is no promotion to take back" in capsys.readouterr().err


def test_a_candidate_is_proved_once_at_its_promotion(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CERVIX_BUNDLE_DIR", str(bundle_of_risk_models(tmp_path / "shipped")))
    get_settings.cache_clear()
    candidate = load_bundle(candidate_of_risk_models(home / "bundles/counted", "0.9.7"), device="cpu")
    apart, here = [], []

    def run_counted(*order: Any, **more: Any) -> Any:
        apart.append(order)
        return run_apart(*order, **more)

    def replay_counted(session: ModelSession, golden_bytes: bytes) -> GoldenCheck:
        here.append(session.model.id)
        return replay_golden(session, golden_bytes)

    monkeypatch.setattr(proving, "run_apart", run_counted)
    monkeypatch.setattr(loading, "replay_golden", replay_counted)
    assert main(["bundle", "promote", "counted", "--reason", "The clinic wants to try it."]) == 0
    capsys.readouterr()
    assert len(apart) == 1, "every variant, in a process apart"
    models = len(candidate.manifest.models)
    assert len(here) == 2 * models, "what runs here of the active one and of the candidate, opened to be compared"


def test_a_candidate_that_cannot_even_be_compared_is_refused_and_written_down(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CERVIX_BUNDLE_DIR", str(bundle_of_risk_models(tmp_path / "shipped")))
    get_settings.cache_clear()
    root = candidate_of_risk_models(home / "bundles/broken", "0.9.0")
    (root / "risk-factors/golden.npz").write_bytes(b"damaged")
    assert main(["bundle", "promote", "broken", "--reason", "The clinic wants to try it."]) == 1
    assert "risk-factors/golden.npz has the wrong size" in capsys.readouterr().err
    with open_store(get_settings().label_store_url) as store:
        entry = store.audit_trail().iloc[0]
    assert (entry["what"], entry["subject"]) == ("not promoted", "broken")
    assert "wrong size" in entry["detail"]["why"]
