"""A file is whole or not there, whatever happens while it is written."""

import hashlib
import stat
from pathlib import Path

import pandas as pd
import pytest

from cervix.files import HASH_BLOCK_BYTES, inert, replacing, sha256_of


def write_half_and_fail(path: Path) -> None:
    with replacing(path) as temporary:
        temporary.write_text("half a")
        raise OSError("disk full")


def test_a_new_file_appears_with_its_folders(tmp_path: Path) -> None:
    path = tmp_path / "a/b/new.txt"
    with replacing(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"


def test_an_old_file_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(OSError, match="disk full"):
        write_half_and_fail(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_no_file_where_there_was_none(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="disk full"):
        write_half_and_fail(tmp_path / "file.txt")
    assert list(tmp_path.iterdir()) == []


def test_the_temporary_file_has_the_same_ending_for_writers_that_look_at_it(tmp_path: Path) -> None:
    with replacing(tmp_path / "scores.parquet") as temporary:
        assert temporary.suffix == ".parquet"
        assert temporary.parent == tmp_path


def test_the_file_can_be_read_by_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    with replacing(path) as temporary:
        temporary.write_text("x")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("size", [0, 3, HASH_BLOCK_BYTES, 2 * HASH_BLOCK_BYTES + 1])
def test_the_hash_is_that_of_the_whole_content(tmp_path: Path, size: int) -> None:
    content = bytes(index % 251 for index in range(size))
    (tmp_path / "file").write_bytes(content)
    assert sha256_of(tmp_path / "file") == hashlib.sha256(content).hexdigest()


def test_text_that_a_spreadsheet_would_run_is_made_inert_and_numbers_stay() -> None:
    table = pd.DataFrame({"id": ["=HYPERLINK(1)", "+1", "@a", "-x", "\tt", "W-1", None], "risk": [-0.5, 1, 2, 3, 4, 5, 6]})
    safe = inert(table)
    assert list(safe["id"][:6]) == ["'=HYPERLINK(1)", "'+1", "'@a", "'-x", "'\tt", "W-1"]
    assert safe["id"].isna().iloc[6]
    assert safe["risk"].equals(table["risk"])
