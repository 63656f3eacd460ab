"""The command line moves labels in and out, writes it down, and says in a sentence what it cannot do."""

from pathlib import Path

import pytest

from cervix.cli import main
from cervix.labels import open_store
from cervix.settings import get_settings
from tests.labels.making import SLIDES, TILES, filled, label

FILES = ("labels.csv", "labels.parquet", "labels.geojson")


@pytest.fixture
def labelled_home(home: Path) -> Path:
    with filled(open_store(get_settings().label_store_url)) as store:
        label(store, TILES[0], "A", "scc")
        label(store, TILES[1], "A", "benign")
    return home


@pytest.mark.parametrize("name", FILES)
def test_labels_go_out_and_come_in_again(
    labelled_home: Path, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert labelled_home.is_dir()
    file = str(tmp_path / name)
    more = ["--slide", SLIDES[0], "--reader", "A"]
    assert main(["labels", "export", file, *more, "--by", "Ada"]) == 0
    assert "2 rows written" in capsys.readouterr().out
    assert main(["labels", "import", file, *more, "--by", "Ada"]) == 0
    assert "0 added, 2 there already, 0 left out" in capsys.readouterr().out
    with open_store(get_settings().label_store_url) as store:
        trail = store.audit_trail()
    assert trail[["who", "what", "subject"]].to_numpy().tolist() == [["Ada", "import", name], ["Ada", "export", name]]


def test_the_status_is_a_table(labelled_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert labelled_home.is_dir()
    assert main(["labels", "status"]) == 0
    assert capsys.readouterr().out.splitlines()[2].split() == ["tile", "12", "2", "0", "1", "2"]


def test_a_backup_fills_a_lost_store_again(labelled_home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    backup = str(tmp_path / "backup.sqlite")
    assert main(["labels", "backup", backup, "--by", "Ada"]) == 0
    assert main(["labels", "restore", backup]) == 1
    assert "empty store only" in capsys.readouterr().err
    for file in labelled_home.glob("labels.sqlite*"):
        file.unlink()
    assert main(["labels", "restore", backup]) == 0
    with open_store(get_settings().label_store_url) as store:
        assert store.truths()["label"].tolist() == ["scc", "benign"]


def test_a_row_that_cannot_be_added_is_named(labelled_home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert labelled_home.is_dir()
    file = tmp_path / "labels.csv"
    file.write_text(f"case_id,reader,action,label\n{TILES[0]},B,label,stroma\n{TILES[0]},B,label,ac\n", encoding="utf-8")
    assert main(["labels", "import", str(file)]) == 0
    printed = capsys.readouterr()
    assert "left out: row 2: There is no such class" in printed.err
    assert "1 added, 0 there already, 1 left out" in printed.out


def test_a_damaged_store_is_one_sentence(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home.mkdir()
    (home / "labels.sqlite").write_bytes(b"no database" * 1000)
    assert main(["labels", "status"]) == 1
    assert capsys.readouterr().err.startswith("error: The label store is damaged")
