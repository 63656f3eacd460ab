"""Uploads arrive whole, go on where they broke off, and keep nothing that names a person."""

import asyncio
import errno
import hashlib
import io
import os
import shutil
import time
import zipfile
from collections.abc import AsyncIterator
from contextlib import nullcontext as nothing
from pathlib import Path

import pytest
import tifffile
from PIL import Image

from cervix.errors import NameRefused, NoRoomForUpload, SlideNotReadable, UploadNotYours, UploadRefused
from cervix.intake import uploads
from cervix.intake.uploads import Quotas, UploadStore
from cervix.slides.phantom import phantom_region
from cervix.slides.pyramid import write_pyramid
from cervix.sources.opening import open_slide

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
         length: int | None = None, fail_after: int | None = None, owners: tuple[str, ...] = ("",)) -> int:  # fmt: skip
    blocks = stream(content[offset:], fail_after=fail_after)
    total = len(content) if length is None else length
    return asyncio.run(store.receive(upload, number, name, offset, total, blocks, owners=owners))


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
    with pytest.raises(UploadRefused, match="forgotten names"):
        UploadStore(store.folder, store.limit_bytes).finish(UPLOAD)
    (path,) = UploadStore(store.folder, store.limit_bytes).finish(UPLOAD, {0: "slide.tiff"})
    assert path.parent.name == hashlib.sha256(content).hexdigest()


def test_a_wrong_offset_is_refused_and_says_the_right_one(store: UploadStore, content: bytes) -> None:
    send(store, content[:1000], "slide.tiff", length=len(content))
    with pytest.raises(UploadRefused, match="expected offset 1000; found 5"):
        send(store, content, "slide.tiff", offset=5)


def test_the_same_file_twice_is_one_slide(store: UploadStore, content: bytes) -> None:
    send(store, content, "first.tiff")
    send(store, content, "second.tiff", upload=OTHER)
    assert [*store.finish(UPLOAD)] == [*store.finish(OTHER)]
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
    send(store, b"x" * 10, "folder/passwd")
    with pytest.raises(UploadRefused, match="no slide in this upload"):
        store.finish(UPLOAD)
    assert not [path for path in store.folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("name", ["../../../evil.tiff", "a/b/../../../evil.tiff", "C:\\evil.tiff", "x" * 300 + ".tiff"])
def test_a_name_that_leads_elsewhere_is_refused_before_a_byte_is_kept(store: UploadStore, content: bytes, name: str) -> None:
    with pytest.raises(NameRefused):
        send(store, content, name)
    assert not store.folder.exists()
    send(store, content, "slide.tiff")
    fresh = UploadStore(store.folder, store.limit_bytes)
    with pytest.raises(NameRefused):
        fresh.finish(UPLOAD, {0: name})


def test_a_mirax_slide_cannot_put_a_file_elsewhere(store: UploadStore, tmp_path: Path, cases_dir: Path) -> None:
    (tmp_path / "labels.sqlite").write_bytes(b"564 labels")
    slide = cases_dir / "slides/mirax_bounds"
    send(store, slide.with_suffix(".mrxs").read_bytes(), "d/J.mrxs")
    with pytest.raises(NameRefused):
        send(store, b"harm", "d/J/../../../../labels.sqlite", number=1)
    for number, file in enumerate(sorted(slide.iterdir()), start=2):
        send(store, file.read_bytes(), f"d/J/{file.name}", number=number)
    (path,) = store.finish(UPLOAD)
    assert {file.name for file in path.with_suffix("").iterdir()} == {file.name for file in slide.iterdir()}
    assert (tmp_path / "labels.sqlite").read_bytes() == b"564 labels"


def test_markup_in_a_name_is_not_kept(store: UploadStore, content: bytes, tmp_path: Path) -> None:
    send(store, content, "<b>evil</b>.tiff")
    assert [path.name for path in store.finish(UPLOAD)] == ["slide.tiff"]
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
    for number, kind in enumerate(["VOLUME\\NONE ", "LABEL\\NONE", "OVERVIEW\\NONE ", "VOLUME\\RESAMPLED"]):
        image_type = b"ORIGINAL\\PRIMARY\\" + kind.encode()
        element = b"\x08\x00\x08\x00CS" + len(image_type).to_bytes(2, "little") + image_type
        send(store, b"\0" * 128 + b"DICM" + element, f"series/{number}.dcm", number=number)
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


def files_under(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


NAME = "DOE^JANE 1970-01-01"


def test_names_are_neither_on_disk_nor_in_the_log(
    store: UploadStore, content: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def names_on_disk() -> list[Path]:
        return [path for path in tmp_path.rglob("*") if "DOE" in str(path) or (path.is_file() and b"DOE" in path.read_bytes())]

    caplog.set_level(0)
    send(store, content[:5000], f"{NAME}/{NAME}.tiff", length=len(content))
    send(store, b"thumbnail", f"{NAME}.mrxs", number=1)
    send(store, b"a list of nothing", f"{NAME}/Slidedat.ini", number=2)
    send(store, b"secret", f"{NAME}/{NAME}.dat", number=3)
    assert names_on_disk() == []
    send(store, content, f"{NAME}/{NAME}.tiff", offset=5000)
    with pytest.raises(NameRefused) as refused:
        send(store, b"x", f"{NAME * 20}.tiff", upload=OTHER)
    with pytest.raises(UploadRefused):
        store.finish(UPLOAD)  # the second slide is none
    assert names_on_disk() == []
    assert "DOE" not in caplog.text + str(refused.value)


def test_names_that_a_mirax_list_holds_are_replaced_in_it(store: UploadStore, cases_dir: Path) -> None:
    folder = cases_dir / "slides/mirax_bounds"
    told = (folder / "Slidedat.ini").read_bytes().replace(b"Data0000.dat", f" {NAME}.dat ".encode())
    told = told.replace(b"[GENERAL]", f"[GENERAL]\r\nSLIDE_NAME = {NAME}".encode())
    files = {f"{NAME}.mrxs": (cases_dir / "slides/mirax_bounds.mrxs").read_bytes(), f"{NAME}/Slidedat.ini": told}
    files |= {f"{NAME}/{NAME}.dat": (folder / "Data0000.dat").read_bytes(), f"{NAME}/notes.txt": NAME.encode()}
    files |= {f"{NAME}/Index.dat": (folder / "Index.dat").read_bytes(), f"{NAME}/._Index.dat": b"litter"}
    for number, (name, held) in enumerate(files.items()):
        send(store, held, name, number=number)
    ((path, shown),) = store.finish(UPLOAD).items()
    assert shown == f"{NAME}.mrxs"
    assert {file.name for file in path.with_suffix("").iterdir()} == {"Slidedat.ini", "Index.dat", "Data0000.dat"}
    assert not any(b"DOE" in held for held in files_under(store.folder).values())
    slide, original = open_slide(path, sha256="known"), open_slide(cases_dir / "slides/mirax_bounds.mrxs")
    assert slide.overview(8)[0].tobytes() == original.overview(8)[0].tobytes()


@pytest.mark.parametrize("listed", ["../../../secret.dat", "/etc/passwd", "Data0001.dat", "sub/Data0000.dat"])
def test_a_mirax_list_that_names_what_did_not_come_is_refused(store: UploadStore, listed: str) -> None:
    send(store, b"thumbnail", "J.mrxs")
    send(store, f"[HIERARCHICAL]\nINDEXFILE = Index.dat\n[DATAFILE]\n FILE_0={listed}\n".encode(), "J/Slidedat.ini", number=1)
    send(store, b"index", "J/Index.dat", number=2)
    with pytest.raises(SlideNotReadable, match="MIRAX"):
        store.finish(UPLOAD)


def test_the_same_bytes_under_two_suffixes_open_under_both(store: UploadStore, content: bytes) -> None:
    send(store, content, "slide.svs")
    send(store, content, "slide.tif", upload=OTHER)
    (first,), (second,) = store.finish(UPLOAD), store.finish(OTHER)
    assert first.parent == second.parent
    assert (first.name, second.name) == ("slide.svs", "slide.tif")
    assert first.read_bytes() == second.read_bytes() == content


@pytest.mark.parametrize(
    ("quotas", "error", "sentence"),
    [
        (Quotas(session_uploads=2), UploadRefused, "at most 2 of yours; found 2 already"),
        (Quotas(session_bytes=100_000_000), NoRoomForUpload, "of yours; found 0.1 GB"),
        (Quotas(all_uploads=2), UploadRefused, "at most 2 of everybody's"),
        (Quotas(all_bytes=100_000_000), NoRoomForUpload, "of everybody's"),
    ],
)
def test_what_is_announced_counts_before_it_arrives(
    tmp_path: Path, quotas: Quotas, error: type[UploadRefused], sentence: str
) -> None:
    store = UploadStore(tmp_path / "uploads", 50_000_000, quotas)
    for number in range(2):
        send(store, b"x", "slide.svs", upload=f"{number:032x}", length=50_000_000, owners=("me",))
    with pytest.raises(error, match=sentence):
        send(store, b"x", "slide.svs", upload=OTHER, length=50_000_000, owners=("me",))
    with nothing() if "of yours" in sentence else pytest.raises(error):
        send(store, b"x", "slide.svs", upload=OTHER, length=40_000_000, owners=("they",))
    store.discard(f"{0:032x}", owners=("me",))
    send(store, b"x", "slide.svs", upload="a" * 32, length=40_000_000, owners=("me",))


def test_what_others_announced_is_not_free(store: UploadStore, monkeypatch: pytest.MonkeyPatch) -> None:
    free = uploads.DISK_RESERVE_BYTES + 60_000_000
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**12, 10**12, free))
    send(store, b"x", "slide.svs", length=40_000_000)
    with pytest.raises(NoRoomForUpload, match="uploads under way counted"):
        send(store, b"x", "slide.svs", upload=OTHER, length=40_000_000)
    store.discard(UPLOAD)
    send(store, b"x", "slide.svs", upload=OTHER, length=40_000_000)


def aged(folder: Path, seconds: float) -> None:
    past = time.time() - seconds
    for path in folder.iterdir():
        os.utime(path, (past, past))


def test_unfinished_uploads_go_at_the_start_and_with_every_new_one(tmp_path: Path, content: bytes) -> None:
    quotas = Quotas(keep_s=3600)
    store = UploadStore(tmp_path / "uploads", 50_000_000, quotas)
    first, second = (store.folder / ".parts" / upload for upload in (UPLOAD, OTHER))
    send(store, content[:10], "slide.tiff", length=len(content))
    aged(first, 7200)
    send(store, content[:10], "slide.tiff", upload=OTHER, length=len(content))
    assert not first.exists()
    aged(second, 7200)
    named = store.folder / ".parts" / ("b" * 32)
    named.mkdir(parents=True)
    (named / "00000.json").write_text('{"sent_as": "Jane Doe.svs", "length": 1}', encoding="utf-8")
    UploadStore(store.folder, 50_000_000, quotas)
    assert not second.exists()
    assert not named.exists(), "an earlier version kept names"


def test_one_that_nobody_goes_on_with_makes_room_where_all_places_are_taken(tmp_path: Path, content: bytes) -> None:
    store = UploadStore(tmp_path / "uploads", 50_000_000, Quotas(all_uploads=1))
    send(store, content[:10], "slide.tiff", length=len(content))
    with pytest.raises(UploadRefused, match="unfinished"):
        send(store, content[:10], "slide.tiff", upload=OTHER, length=len(content))
    aged(store.folder / ".parts" / UPLOAD, 2 * uploads.MAKES_ROOM_AFTER_S)
    send(store, content[:10], "slide.tiff", upload=OTHER, length=len(content))
    assert store.offset(UPLOAD, 0) == 0


def test_an_upload_belongs_to_whoever_began_it_after_a_restart_too(store: UploadStore, content: bytes) -> None:
    send(store, content[:10], "slide.tiff", length=len(content), owners=("mine",))
    for there in (store, UploadStore(store.folder, store.limit_bytes)):
        with pytest.raises(UploadNotYours):
            send(there, content, "slide.tiff", offset=10, owners=("theirs",))
        with pytest.raises(UploadNotYours):
            there.offset(UPLOAD, 0, owners=("theirs",))
        with pytest.raises(UploadNotYours):
            there.discard(UPLOAD, owners=("theirs",))
        with pytest.raises(UploadNotYours):
            there.finish(UPLOAD, owners=("theirs",))
        assert there.offset(UPLOAD, 0, owners=("new", "mine")) == 10
    assert not any(b"mine" in held for held in files_under(store.folder).values())


@pytest.mark.parametrize(
    ("case", "names", "widths"),
    [
        ("macos.zip", ["slide.svs"], [1120]),
        ("dicom_macos.zip", ["case"], [1120]),
        ("dicom_no_suffix.zip", ["DICOM"], [1120]),
        ("two_dicom_one_folder.zip", None, [1120, 2220]),
    ],
)
def test_slides_are_told_from_what_lies_beside_them(
    tmp_path: Path, cases_dir: Path, case: str, names: list[str] | None, widths: list[int]
) -> None:
    packed = cases_dir / "slides" / case
    store = UploadStore(tmp_path / "uploads", 50_000_000)
    send(store, packed.read_bytes(), case)
    slides = store.finish(UPLOAD)
    assert names is None or [*slides.values()] == names
    assert [open_slide(path, sha256=path.parent.name).width_l0_px for path in slides] == widths
    assert len({path.parent for path in slides}) == len(widths)
    with zipfile.ZipFile(packed) as archive:
        for number, name in enumerate(archive.namelist()):
            send(store, archive.read(name), f"folder/{name}", upload=OTHER, number=number)
    assert [*store.finish(OTHER)] == [*slides], "a folder that was chosen holds the same slides"


def test_a_picture_beside_a_slide_is_not_a_slide_and_one_alone_is(store: UploadStore, content: bytes) -> None:
    for number, name in enumerate(["case/slide.tiff", "case/label.jpg", "case/Thumbnail.png", "case/macro.tif"]):
        send(store, content + bytes(number), name, number=number)
    assert [*store.finish(UPLOAD).values()] == ["case/slide.tiff"]
    send(store, content, "case/label.png", upload=OTHER)
    assert [path.name for path in store.finish(OTHER)] == ["slide.png"]


def test_a_single_dicom_file_without_a_suffix_is_known_by_its_mark(store: UploadStore, cases_dir: Path) -> None:
    with zipfile.ZipFile(cases_dir / "slides/dicom_no_suffix.zip") as archive:
        held = archive.read("DICOM/IM0002")
    assert send(store, held[:100_000], "IM0002", length=len(held)) == 100_000
    send(store, held, "IM0002", offset=100_000)
    (path,) = store.finish(UPLOAD)
    assert path.read_bytes()[-100_000:] == held[-100_000:]
    assert path.parent.name == hashlib.sha256(path.read_bytes()).hexdigest(), "of what is kept"
    assert open_slide(path, sha256="known").width_l0_px == 1120


def test_what_archives_hold_is_counted_together(tmp_path: Path) -> None:
    small = UploadStore(tmp_path / "small", 1_000_000)
    for number in range(2):
        with zipfile.ZipFile(tmp_path / "z.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(f"{number}.svs", bytes(600_000))
        send(small, (tmp_path / "z.zip").read_bytes(), f"f/{number}.zip", number=number)
    with pytest.raises(UploadRefused, match="more than it should"):
        small.finish(UPLOAD)


def test_two_files_of_one_name_are_refused(store: UploadStore, content: bytes) -> None:
    for number in range(2):
        send(store, content, "f/slide.tiff", number=number)
    with pytest.raises(UploadRefused, match="one name"):
        store.finish(UPLOAD)


def test_only_pictures_are_kept_as_pictures(store: UploadStore) -> None:
    for name in ("x.svg", "x." + "p" * 300, "x"):
        with pytest.raises(UploadRefused, match="not a slide"):
            store.store_picture(name, memoryview(b"x"))
    picture = io.BytesIO()
    Image.new("RGB", (300, 300), "pink").save(picture, "PNG")
    assert store.store_picture("Jane.PNG", picture.getbuffer()).name == "slide.png"
