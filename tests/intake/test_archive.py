"""A zip cannot leave its folder, and cannot grow beyond what a slide would."""

import random
import shutil
import stat
import struct
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from cervix.errors import NoRoomForUpload, UploadRefused
from cervix.intake import archive as archive_module
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


@pytest.mark.parametrize("name", ["", ".", "a/.", "x" * 300, "a//b", "CON", "a:b", "x\u202e.svs"])
def test_a_name_that_is_none_is_one_sentence(tmp_path: Path, name: str) -> None:
    with pytest.raises(UploadRefused):
        extract_archive(packed(tmp_path, {"a.svs": b"x", name: b"y"}), tmp_path / "out", LIMIT)


def test_members_named_by_dots_or_by_nothing_are_one_sentence(tmp_path: Path, cases_dir: Path) -> None:
    with pytest.raises(UploadRefused):
        extract_archive(cases_dir / "hostile/member_named_dot.zip", tmp_path / "out", LIMIT)


def test_two_members_of_one_name_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "archive.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/b.svs", b"one")
        archive.writestr("a\\b.svs", b"two")
    with pytest.raises(UploadRefused, match="one name"):
        extract_archive(path, tmp_path / "out", LIMIT)


@pytest.mark.parametrize("case", ["macos.zip", "dicom_macos.zip"])
def test_what_a_mac_adds_is_passed_over(tmp_path: Path, cases_dir: Path, case: str) -> None:
    found = extract_archive(cases_dir / "slides" / case, tmp_path / "out", LIMIT)
    assert found
    assert not any(part.startswith((".", "__MACOSX")) for _, place in found for part in place.parts)
    assert len(list((tmp_path / "out").iterdir())) == len(found)


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2, zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
def test_damaged_content_is_one_sentence_without_a_name(tmp_path: Path, method: int) -> None:
    path = packed(tmp_path, {"DOE^JANE.svs": bytes(range(256)) * 400}, method)
    content = bytearray(path.read_bytes())
    content[60:100] = bytes(40)
    path.write_bytes(content)
    with pytest.raises(UploadRefused, match="cannot be unpacked") as refused:
        extract_archive(path, tmp_path / "out", LIMIT)
    assert "DOE" not in str(refused.value)


def patched(path: Path, mark: bytes, at: int, value: bytes) -> None:
    content = bytearray(path.read_bytes())
    start = content.rindex(mark) + at
    content[start : start + len(value)] = value
    path.write_bytes(content)


def test_a_method_that_is_not_read_and_a_password_are_said(tmp_path: Path) -> None:
    path = packed(tmp_path, {"slide.svs": b"x" * 100})
    patched(path, b"PK\x01\x02", 10, b"\x09\x00")  # deflate64
    with pytest.raises(UploadRefused, match="method of packing"):
        extract_archive(path, tmp_path / "out", LIMIT)
    path = packed(tmp_path, {"slide.svs": b"x" * 100})
    patched(path, b"PK\x01\x02", 8, b"\x01\x00")
    with pytest.raises(UploadRefused, match="a file with a password"):
        extract_archive(path, tmp_path / "out", LIMIT)


@pytest.mark.parametrize(("at", "value"), [(42, b"\xff\xff\xff\x00"), (42, b"\x05\0\0\0"), (16, b"\0\0")])
def test_a_wrong_central_directory_is_one_sentence(tmp_path: Path, at: int, value: bytes) -> None:
    path = packed(tmp_path, {"slide.svs": b"x" * 100})
    patched(path, b"PK\x01\x02", at, value)
    with pytest.raises(UploadRefused):
        extract_archive(path, tmp_path / "out", LIMIT)


def test_whatever_is_damaged_is_one_sentence(tmp_path: Path) -> None:
    whole = []
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        whole.append(packed(tmp_path, {"a/slide.svs": bytes(range(256)) * 40, "b.txt": b"hello" * 300}, method).read_bytes())
    chance = random.Random(7)
    refused = 0
    for _ in range(400):
        content = bytearray(chance.choice(whole))
        if chance.random() < 0.15:
            del content[chance.randrange(len(content)) :]
        for _ in range(chance.choice([1, 1, 2, 5, 20]) if content else 0):
            # Half of them in the directory, where most of what can go wrong is written.
            near_the_end = max(0, len(content) - 300)
            content[chance.randrange(near_the_end if chance.random() < 0.5 else 0, len(content))] = chance.randrange(256)
        (tmp_path / "damaged.zip").write_bytes(content)
        try:
            extract_archive(tmp_path / "damaged.zip", tmp_path / "out", LIMIT)
        except UploadRefused:
            refused += 1
    assert refused > 200


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_what_would_unpack_into_memory_at_once_is_not_unpacked(tmp_path: Path, method: int) -> None:
    path = packed(tmp_path, {"slide.svs": bytes(50_000_000)}, method)
    tracemalloc.start()
    with pytest.raises(UploadRefused, match="method of packing"):
        extract_archive(path, tmp_path / "out", LIMIT)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 5_000_000


def test_a_list_of_members_that_would_fill_the_memory_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "archive.zip"
    with path.open("wb") as stream:
        stream.truncate(80_000_000)
        stream.seek(80_000_000)
        stream.write(struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 80_000_000, 0, 0))
    with pytest.raises(UploadRefused, match="too many files"):
        extract_archive(path, tmp_path / "out", LIMIT)


def test_the_disk_is_asked_before_anything_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = archive_module.DISK_RESERVE_BYTES + 1000
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**12, 10**12, free))
    with pytest.raises(NoRoomForUpload, match="no room"):
        extract_archive(packed(tmp_path, {"slide.svs": bytes(100_000)}), tmp_path / "out", LIMIT)
    assert not list((tmp_path / "out").iterdir())
