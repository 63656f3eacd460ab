"""Tumours are scored without the app, and a table to fill in is written."""

from pathlib import Path

import pandas as pd
import pytest

from cervix import RESEARCH_NOTICE
from cervix.cli import main


def run(root: Path, *arguments: str | Path) -> int:
    return main(["molecular", *map(str, arguments), "--bundle", str(root), "--device", "cpu"])


def test_the_template_can_be_scored(tumour_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    template, out = tmp_path / "template.csv", tmp_path / "scores.csv"
    assert run(tumour_root, "--template", "--out", template) == 0
    assert run(tumour_root, template, "--out", out) == 0
    told = pd.read_csv(out)
    assert dict(zip(told["tumour"], told["answer"], strict=True)) == {"example-scc": "scc", "example-ac": "ac"}
    assert (told["notice"] == RESEARCH_NOTICE).all()
    assert "2 tumours scored with molecular" in capsys.readouterr().out


def test_notices_and_problems_go_to_the_error_stream(
    tumour_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "tumours.csv"
    table.write_text("tumour,hsa-mir-205,hsa-mir-944\nA,100,much\n", encoding="utf-8")
    assert run(tumour_root, table, "--out", tmp_path / "scores.csv") == 0
    said = capsys.readouterr()
    assert "note: Not in the table, 12 of 14 markers" in said.err
    assert "not measured: row 2, column hsa-mir-944: found 'much'" in said.err
    assert "1 of them have no answer" in said.out


def test_a_table_without_markers_is_refused_in_one_sentence(
    tumour_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "genes.csv"
    table.write_text("tumour,TP53\nA,1\n", encoding="utf-8")
    assert run(tumour_root, table, "--out", tmp_path / "scores.csv") == 1
    assert capsys.readouterr().err.startswith("error: No column and no row of the table names a microRNA")
    assert not (tmp_path / "scores.csv").exists()


def test_a_bundle_without_such_a_model_says_so(bundle_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(bundle_root, "--template", "--out", tmp_path / "template.csv") == 1
    assert "molecular" in capsys.readouterr().err
