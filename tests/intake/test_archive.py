"""A zip cannot leave its folder, and cannot grow beyond what a slide would."""

import stat
import zipfile
from pathlib import Path

import pytest

from cervix.errors import UploadRefused
from cervix.intake.archive import extract_archive

LIMIT = 500_000_000


def packed(tmp_path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    path = tmp_path / "archive.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, compress_type=method)
    return path


def test_files_are_unpacked_under_numbers_and_known_by_their_paths(tmp_path: Path) -> None:
    path = packed(tmp_path, {"a/slide.svs": b"one", "a/b/other.svs": b"two"})
    found = extract_archive(path, tmp_path / "out", LIMIT)
    assert [(file.read_bytes(), str(sent)) for file, sent in found] == [(b"one", "a/slide.svs"), (b"two", "a/b/other.svs")]
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["00000", "00001"]


@pytest.mark.parametrize("name", ["../evil.svs", "/etc/evil.svs", "a/../../evil.svs", "..\\evil.svs", "C:\\evil.svs"])
def test_a_path_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UploadRefused, match="leads out"):
        extract_archive(packed(tmp_path, {name: b"x"}), tmp_path / "out", LIMIT)
    assert not list((tmp_path / "out").iterdir())


def test_a_link_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "archive.zip"
    link = zipfile.ZipInfo("slide.svs")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(UploadRefused, match="leads out"):
        extract_archive(path, tmp_path / "out", LIMIT)


def test_a_bomb_is_stopped_while_it_grows(tmp_path: Path) -> None:
    path = packed(tmp_path, {"slide.svs": bytes(120_000_000)})
    assert path.stat().st_size < 200_000
    with pytest.raises(UploadRefused, match="more than it should"):
        extract_archive(path, tmp_path / "out", LIMIT)
    assert sum(file.stat().st_size for file in (tmp_path / "out").iterdir()) < 70_000_000


def test_what_a_bomb_says_of_its_size_does_not_count(tmp_path: Path) -> None:
    path = packed(tmp_path, {"slide.svs": bytes(120_000_000)})
    content = bytearray(path.read_bytes())
    for mark, place in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        start = content.find(mark)
        content[start + place : start + place + 4] = (1000).to_bytes(4, "little")
    path.write_bytes(bytes(content))
    with pytest.raises(UploadRefused):
        extract_archive(path, tmp_path / "out", LIMIT)


def test_more_than_the_upload_limit_is_refused(tmp_path: Path) -> None:
    path = packed(tmp_path, {"slide.svs": bytes(range(256)) * 8000}, zipfile.ZIP_STORED)
    with pytest.raises(UploadRefused, match="more than it should"):
        extract_archive(path, tmp_path / "out", 1_000_000)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and then nothing", b"not a zip at all" * 100])
def test_what_is_no_zip_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "archive.zip").write_bytes(content)
    with pytest.raises(UploadRefused, match="cannot be unpacked"):
        extract_archive(tmp_path / "archive.zip", tmp_path / "out", LIMIT)
