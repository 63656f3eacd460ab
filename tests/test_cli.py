"""The command line does the app's work, with one sentence and an exit code where it cannot."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from cervix import RESEARCH_NOTICE
from cervix.cli import main
from cervix.patients.sample import sample_table_csv
from cervix.settings import PROJECT_ROOT


def test_verify_prints_a_table_and_succeeds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bundle", "verify", str(PROJECT_ROOT / "bundle"), "--device", "cpu"]) == 0
    printed = capsys.readouterr().out
    for word in ("slide/fp16.onnx", "slide/int8.onnx", "CPUExecutionProvider", "largest golden difference", "ok"):
        assert word in printed


def test_verify_fails_on_a_damaged_bundle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(PROJECT_ROOT / "bundle", tmp_path / "bundle")
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
    assert len(tiles) == summary["answer"]["tiles"] == 50
    assert set(tiles["notice"]) == {RESEARCH_NOTICE}
    assert "50 tiles in" in capsys.readouterr().out


def test_a_slide_without_scale_is_scored_once_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    from cervix.slides.phantom import phantom_region

    picture = tmp_path / "picture.png"
    Image.fromarray(phantom_region(500, 500, seed=1)).save(picture)
    assert main(["slide", str(picture), "--out", str(tmp_path)]) == 1
    assert "does not state its scale" in capsys.readouterr().err
    assert main(["slide", str(picture), "--out", str(tmp_path), "--mpp", "0.5", "--device", "cpu"]) == 0
    assert len(pd.read_csv(tmp_path / "picture-tiles.csv")) == 4


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


def test_bad_rows_are_named_and_the_good_ones_scored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = sample_table_csv(3).splitlines()
    cells = lines[2].split(",")
    cells[1] = "forty"
    table = tmp_path / "table.csv"
    table.write_text("\n".join([lines[0], lines[1], ",".join(cells), lines[3]]))
    assert main(["patients", str(table), "--out", str(tmp_path / "out.csv"), "--device", "cpu"]) == 0
    assert "left out: row 3, column Age" in capsys.readouterr().err
    assert pd.read_csv(tmp_path / "out.csv")["row"].tolist() == [2, 4]
    assert main(["patients", str(table), "--out", str(tmp_path / "strict.csv"), "--strict"]) == 1
    assert not (tmp_path / "strict.csv").exists()


def test_the_module_runs_as_a_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cervix", "slide", "nowhere.svs", "--out", "."], cwd=PROJECT_ROOT, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: There is no such slide file")
    assert "Traceback" not in done.stderr
