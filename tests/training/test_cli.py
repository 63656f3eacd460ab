"""The trainer's command line says what is wrong in one sentence and finds data where it is said to lie."""

import errno
from pathlib import Path

import pytest

from training import cli
from training.cli import main


def arguments_of(*words: str) -> dict[str, object]:
    return vars(cli._parser().parse_args(list(words)))


def test_a_full_disk_is_a_sentence_that_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cli, "_risk_factors", full)
    assert main(["risk-factors", "--out", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert "No room is left to write" in said
    assert "continues after the last finished stage" in said
    assert "Traceback" not in said


def test_another_system_error_is_not_called_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(cli, "_risk_factors", broken)
    with pytest.raises(OSError, match="Input/output error"):
        main(["risk-factors", "--out", str(tmp_path)])


def test_tiles_and_weights_are_looked_for_in_the_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CERVIX_DATA", str(tmp_path))
    assert arguments_of("slide")["tiles"] == tmp_path / "tiles"
    assert arguments_of("slide")["vgg16_weights"] is None
    weights = tmp_path / "weights/vgg16_imagenet_notop.h5"
    weights.parent.mkdir()
    weights.touch()
    assert arguments_of("slide")["vgg16_weights"] == weights


def test_both_recipes_are_offered_and_the_shipped_one_is_the_default() -> None:
    assert arguments_of("slide")["recipe"] == "shipped"
    assert arguments_of("slide", "--recipe", "paper")["recipe"] == "paper"
    with pytest.raises(SystemExit):
        arguments_of("slide", "--recipe", "frozen-features")


def test_slides_of_tcga_are_asked_for_by_project_number_and_size() -> None:
    asked = arguments_of("data", "tcga", "--project", "TCGA-CESC", "--limit", "2", "--smallest")
    assert (asked["project"], asked["limit"], asked["smallest"]) == ("TCGA-CESC", 2, True)
    assert arguments_of("data", "tcga")["limit"] is None


def test_tiles_are_cut_at_the_models_scale_unless_told_otherwise() -> None:
    asked = arguments_of("data", "tiles", "--slides", "manifest.csv", "--out", "tiles")
    assert (asked["spacing"], asked["cap"]) == (0.5, 200)


def test_a_list_of_slides_that_is_not_there_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "tiles", "--slides", str(tmp_path / "none.csv"), "--out", str(tmp_path)]) == 1
    assert "none.csv" in capsys.readouterr().err
