"""Uploads arrive whole, go on where they broke off, and keep nothing that names a person."""

import asyncio
import errno
import hashlib
import os
import shutil
import time
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import tifffile

from cervix.errors import UploadRefused
from cervix.intake import uploads
from cervix.intake.uploads import UploadStore
from cervix.slides.phantom import phantom_region, write_pyramid
from cervix.slides.reading import open_slide

UPLOAD = "0123456789abcdef" * 2
OTHER = "fedcba9876543210" * 2


@pytest.fixture
def store(tmp_path: Path) -> UploadStore:
    return UploadStore(tmp_path / "uploads", 50_000_000)


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("slide") / "slide.tiff"
    write_pyramid(path, phantom_region(900, 700, seed=21), 0.5)
    return path.read_bytes()


async def stream(content: bytes, block: int = 65_536, fail_after: int | None = None) -> AsyncIterator[bytes]:
    for start in range(0, len(content), block):
        if fail_after is not None and start >= fail_after:
            raise ConnectionError("gone")
        yield content[start : start + block]


def send(store: UploadStore, content: bytes, name: str, *, upload: str = UPLOAD, number: int = 0, offset: int = 0,
         length: int | None = None, fail_after: int | None = None) -> int:  # fmt: skip
    blocks = stream(content[offset:], fail_after=fail_after)
    total = len(content) if length is None else length
    return asyncio.run(store.receive(upload, number, name, offset, total, blocks))


def test_a_slide_arrives_under_its_hash_without_its_name(store: UploadStore, content: bytes) -> None:
    assert send(store, content, "Jane Doe 1970-01-01.tiff") == len(content)
    (path,) = store.finish(UPLOAD)
    sha256 = hashlib.sha256(content).hexdigest()
    assert path == store.folder / sha256 / "slide.tiff"
    assert store.sha256_at(path) == sha256
    assert open_slide(path, sha256=sha256).width_l0_px == 900
    assert not any("Jane" in str(found) for found in store.folder.rglob("*"))
    assert not (store.folder / ".parts" / UPLOAD).exists()


def test_an_upload_goes_on_where_the_connection_broke(store: UploadStore, content: bytes) -> None:
    with pytest.raises(ConnectionError):
        send(store, content, "slide.tiff", fail_after=len(content) // 2)
    there = store.offset(UPLOAD, 0)
    assert len(content) // 2 <= there < len(content)
    assert send(store, content, "slide.tiff", offset=there) == len(content)
    (path,) = store.finish(UPLOAD)
    assert path.parent.name == hashlib.sha256(content).hexdigest()


def test_an_upload_goes_on_after_a_restart_of_the_server(store: UploadStore, content: bytes) -> None:
    with pytest.raises(ConnectionError):
        send(store, content, "slide.tiff", fail_after=200_000)
    fresh = UploadStore(store.folder, store.limit_bytes)
    send(fresh, content, "slide.tiff", offset=fresh.offset(UPLOAD, 0))
    (path,) = fresh.finish(UPLOAD)
    assert path.parent.name == hashlib.sha256(content).hexdigest()


def test_a_wrong_offset_is_refused_and_says_the_right_one(store: UploadStore, content: bytes) -> None:
    send(store, content[:1000], "slide.tiff", length=len(content))
    with pytest.raises(UploadRefused, match="expected offset 1000; found 5"):
        send(store, content, "slide.tiff", offset=5)


def test_the_same_file_twice_is_one_slide(store: UploadStore, content: bytes) -> None:
    send(store, content, "first.tiff")
    send(store, content, "second.tiff", upload=OTHER)
    assert store.finish(UPLOAD) == store.finish(OTHER)
    assert len([path for path in store.folder.iterdir() if path.name != ".parts"]) == 1


def test_an_incomplete_upload_is_not_taken_for_a_slide(store: UploadStore, content: bytes) -> None:
    send(store, content[:5000], "slide.tiff", length=len(content))
    with pytest.raises(UploadRefused, match="not complete"):
        store.finish(UPLOAD)


@pytest.mark.parametrize("name", ["slide.exe", "slide", "<img src=x>.html"])
def test_another_kind_of_file_is_refused_before_a_byte_is_kept(store: UploadStore, name: str) -> None:
    with pytest.raises(UploadRefused, match="not a slide"):
        send(store, b"x" * 10, name)
    assert not store.folder.exists()


def test_files_without_a_slide_among_them_are_refused_and_not_kept(store: UploadStore) -> None:
    send(store, b"x" * 10, "../../etc/passwd")
    with pytest.raises(UploadRefused, match="no slide in this upload"):
        store.finish(UPLOAD)
    assert not [path for path in store.folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("name", ["../../../evil.tiff", "a/b/../../../evil.tiff", "C:\\evil.tiff", "<b>evil</b>.tiff"])
def test_a_name_with_separators_or_markup_leads_nowhere(store: UploadStore, content: bytes, name: str, tmp_path: Path) -> None:
    send(store, content, name)
    (path,) = store.finish(UPLOAD)
    assert path.name == "slide.tiff"
    assert not list(tmp_path.rglob("*evil*"))


def test_too_large_an_upload_is_refused_at_once_over_all_its_files(store: UploadStore, content: bytes) -> None:
    small = UploadStore(store.folder, len(content) + 10)
    with pytest.raises(UploadRefused, match="too large"):
        send(small, content, "slide.tiff", length=len(content) + 11)
    send(small, content, "a/slide.mrxs")
    with pytest.raises(UploadRefused, match="too large"):
        send(small, b"x" * 100, "a/slide/Data0000.dat", number=1)


def test_more_bytes_than_announced_are_refused(store: UploadStore, content: bytes) -> None:
    with pytest.raises(UploadRefused, match="More was sent"):
        send(store, content, "slide.tiff", length=100_000)


def test_a_full_disk_is_said_before_the_upload(store: UploadStore, content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**12, 10**12, uploads.DISK_RESERVE_BYTES))
    with pytest.raises(UploadRefused, match="no room"):
        send(store, content, "slide.tiff")


def test_a_disk_that_fills_up_on_the_way_keeps_what_arrived(
    small_disk: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**12, 0, 10**12))
    monkeypatch.setattr(uploads, "WRITE_BLOCK_BYTES", 50_000)
    store = UploadStore(small_disk / "uploads", 50_000_000)
    with pytest.raises(UploadRefused, match="disk is full"):
        send(store, content, "slide.tiff")
    assert 0 < store.offset(UPLOAD, 0) < len(content)


@pytest.mark.parametrize("upload", ["short", "../" * 10 + "ab", "G" * 32])
def test_an_upload_id_of_another_form_is_refused(store: UploadStore, content: bytes, upload: str) -> None:
    with pytest.raises(UploadRefused, match="not an upload of this page"):
        send(store, content, "slide.tiff", upload=upload)
    with pytest.raises(UploadRefused):
        store.finish(upload)
    store.discard(upload)


def test_a_cancelled_upload_leaves_nothing(store: UploadStore, content: bytes) -> None:
    send(store, content[:5000], "slide.tiff", length=len(content))
    store.discard(UPLOAD)
    assert store.offset(UPLOAD, 0) == 0
    assert not (store.folder / ".parts" / UPLOAD).exists()


def test_a_mirax_slide_comes_with_its_folder_under_a_name_of_ours(store: UploadStore, cases_dir: Path) -> None:
    send(store, b"thumbnail", "Doe/Jane.mrxs")
    names = ["Data0000.dat", "Index.dat", "Slidedat.ini"]
    for number, name in enumerate(names, 1):
        send(store, (cases_dir / "slides/mirax_bounds" / name).read_bytes(), f"Doe/Jane/{name}", number=number)
    send(store, b"notes", "Doe/notes.txt", number=4)
    (path,) = store.finish(UPLOAD)
    assert path.name == "slide.mrxs"
    assert sorted(file.name for file in path.with_suffix("").iterdir()) == names


def test_a_mirax_slide_without_its_folder_says_what_is_missing(store: UploadStore) -> None:
    send(store, b"thumbnail", "Jane.mrxs")
    with pytest.raises(UploadRefused, match="folder of the same name"):
        store.finish(UPLOAD)


def test_a_dicom_series_is_one_slide_without_its_label(store: UploadStore) -> None:
    head = b"\0" * 128 + b"DICM"
    for number, kind in enumerate(["VOLUME\\NONE", "LABEL\\NONE", "OVERVIEW\\NONE", "VOLUME\\RESAMPLED"]):
        send(store, head + b"ORIGINAL\\PRIMARY\\" + kind.encode() + bytes([number]), f"series/{number}.dcm", number=number)
    (path,) = store.finish(UPLOAD)
    assert sorted(file.name for file in path.parent.iterdir()) == ["00000.dcm", "00001.dcm"]


def test_several_slides_in_one_upload_are_several_slides(store: UploadStore, content: bytes) -> None:
    send(store, content, "folder/a.tiff")
    send(store, content + b"\0", "folder/b.tiff", number=1)
    assert len(store.finish(UPLOAD)) == 2


def test_a_zip_is_unpacked(store: UploadStore, content: bytes, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.writestr("Jane Doe/slide.tiff", content)
        archive.writestr("__MACOSX/._slide.tiff.txt", b"x")
    send(store, (tmp_path / "z.zip").read_bytes(), "slides.zip")
    (path,) = store.finish(UPLOAD)
    assert path.parent.name == hashlib.sha256(content).hexdigest()
    assert not any("Jane" in str(found) for found in store.folder.rglob("*"))


def test_old_uploads_go_kept_and_used_ones_stay(store: UploadStore, content: bytes) -> None:
    paths = []
    for number in range(3):
        send(store, content + bytes(number), "slide.tiff", upload=f"{number:032x}")
        paths += store.finish(f"{number:032x}")
    send(store, content[:100], "slide.tiff", upload=OTHER, length=len(content))
    store.keep(paths[1].parent.name, True)
    past = time.time() - 7200
    for path in [*(path.parent for path in paths), *(store.folder / ".parts" / OTHER).iterdir()]:
        os.utime(path, (past, past))
    assert store.sweep(3600, in_use={paths[2].parent.name}) == 2
    assert [path.is_file() for path in paths] == [False, True, True]
    assert store.offset(OTHER, 0) == 0
    store.keep(paths[1].parent.name, False)
    os.utime(paths[1].parent, (past, past))
    os.utime(paths[2].parent, None)
    assert store.sweep(3600, in_use=set()) == 1
    assert not paths[1].is_file()


def test_label_and_macro_images_are_blanked_and_the_slide_still_opens(store: UploadStore, data_dir: Path) -> None:
    original = (data_dir / "slides/CMU-1-Small-Region.svs").read_bytes()
    send(store, original, "CMU-1-Small-Region.svs")
    (path,) = store.finish(UPLOAD)
    assert path.parent.name == hashlib.sha256(original).hexdigest()
    with tifffile.TiffFile(path) as slide:
        blank = [series for series in slide.series if series.name in ("Label", "Macro")]
        assert len(blank) == 2
        for series in blank:
            page = series.pages[0]
            for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
                assert not any(path.read_bytes()[offset : offset + count])
    before = open_slide(data_dir / "slides/CMU-1-Small-Region.svs")
    after = open_slide(path, sha256=path.parent.name)
    assert after.sha256 == before.sha256
    assert after.read(500, 500, 0, 200, 200).tobytes() == before.read(500, 500, 0, 200, 200).tobytes()


def test_an_error_of_the_disk_that_is_no_lack_of_space_is_not_hidden(
    store: UploadStore, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr(uploads, "_catch_up", broken)
    with pytest.raises(OSError, match="input/output"):
        send(store, content, "slide.tiff")
