"""A file is whole or not there, whatever happens while it is written."""

import hashlib
import os
import stat
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from cervix.files import inert, private_from_now_on, replacing, sha256_of


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


@pytest.mark.parametrize("size", [0, 3, 1 << 20, (2 << 20) + 1])
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


POSIX = pytest.mark.skipif(os.name != "posix", reason="Windows has permissions of another kind")


def modes(home: Path) -> set[int]:
    return {stat.S_IMODE(path.lstat().st_mode) & 0o077 for path in (home, *home.rglob("*")) if not path.is_symlink()}


@POSIX
def test_a_home_with_wider_rights_is_narrowed_said_once_and_kept_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    home, outside = tmp_path / "home", tmp_path / "outside.txt"
    (home / "results/deep").mkdir(parents=True)
    outside.write_text("another's")
    outside.chmod(0o644)
    (home / "labels.sqlite").write_text("x")
    (home / "results/deep/tool").write_text("x")
    (home / "results/deep/tool").chmod(0o755)
    (home / "link").symlink_to(outside)
    home.chmod(0o755)
    before = os.umask(0o022)
    try:
        private_from_now_on(home)
        (home / "new").mkdir()
        (home / "new/file").write_text("x")
    finally:
        os.umask(before)
    assert modes(home) == {0}
    assert (home / "results/deep/tool").stat().st_mode & 0o700 == 0o700
    assert stat.S_IMODE(outside.stat().st_mode) == 0o644
    assert "5 files and folders" in caplog.text
    caplog.clear()
    private_from_now_on(home)
    os.umask(before)
    assert not caplog.text


@POSIX
def test_what_the_command_line_makes_is_its_user_s_alone(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "cervix", "labels", "status"]
    subprocess.run(
        command, env={**os.environ, "CERVIX_HOME": str(tmp_path / "home")}, check=True, capture_output=True, umask=0o022
    )
    assert (tmp_path / "home/labels.sqlite").is_file()
    assert modes(tmp_path / "home") == {0}
