"""A slide is its own files: what lies beside it changes neither which slides there are nor what they are called."""

import shutil
import struct
import zipfile
from pathlib import Path, PurePosixPath

import pytest

from cervix.intake.inbox import list_inbox
from cervix.sources.dicom import DicomHead, dicom_head
from cervix.sources.identity import files_of, identity_of, slides_among, slides_in
from cervix.sources.opening import open_slide
from cervix.sources.photographs.dicom import shows_tissue


@pytest.fixture
def unpacked(tmp_path: Path, cases_dir: Path):  # type: ignore[no-untyped-def]
    def unpack(case: str) -> Path:
        with zipfile.ZipFile(cases_dir / "slides" / case) as archive:
            archive.extractall(tmp_path / "inbox")
        return tmp_path / "inbox"

    return unpack


def test_two_series_in_one_folder_are_two_slides_with_two_identities(unpacked, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    folder = unpacked("two_dicom_one_folder.zip")
    slides = slides_in(folder)
    assert sorted(open_slide(path).width_l0_px for path in slides) == [1120, 2220]
    assert [len(files_of(path)) for path in slides] == [5, 4]
    assert len({identity_of(path) for path in slides}) == 2
    for index, path in enumerate(slides):
        alone = tmp_path / f"alone-{index}"
        alone.mkdir()
        for file in files_of(path):
            shutil.copy(file, alone)
        assert identity_of(alone / path.name) == identity_of(path), "as it is alone in its folder"
        assert {identity_of(file) for file in files_of(path)} == {identity_of(path)}, "by any of its files"
    assert [entry.path for entry in list_inbox([folder], order="name")] == slides


def test_a_foreign_file_does_not_change_an_identity(unpacked, cases_dir: Path) -> None:  # type: ignore[no-untyped-def]
    (slide,) = slides_in(unpacked("dicom_macos.zip"))
    before = identity_of(slide)
    for name in ("notes.txt", "._x.dcm", "Thumbs.db", "other.dcm", "slide.svs"):
        (slide.parent / name).write_bytes(b"\0" * 128 + b"DICM")
    assert identity_of(slide) == before
    mirax = slide.parent / "m.mrxs"
    shutil.copy(cases_dir / "slides/mirax_bounds.mrxs", mirax)
    shutil.copytree(cases_dir / "slides/mirax_bounds", mirax.with_suffix(""))
    assert identity_of(mirax) == identity_of(cases_dir / "slides/mirax_bounds.mrxs")
    (mirax.with_suffix("") / "Thumbs.db").write_bytes(b"x")
    (mirax.with_suffix("") / "label.jpg").write_bytes(b"x")
    assert identity_of(mirax) == identity_of(cases_dir / "slides/mirax_bounds.mrxs")
    assert [path.name for path in slides_in(slide.parent)].count("m.mrxs") == 1


def test_a_series_without_suffixes_counts_once_in_an_inbox(unpacked) -> None:  # type: ignore[no-untyped-def]
    folder = unpacked("dicom_no_suffix.zip")
    (folder / "DICOM/readme").write_bytes(b"no slide")
    (entry,) = list_inbox([folder])
    assert open_slide(entry.path).width_l0_px == 1120
    assert len(files_of(entry.path)) == 5


def test_what_a_mac_left_in_an_inbox_is_no_slide(unpacked) -> None:  # type: ignore[no-untyped-def]
    assert [entry.name for entry in list_inbox([unpacked("macos.zip")])] == ["slide.svs"]


def test_a_picture_is_a_slide_where_no_slide_lies_beside_it(tmp_path: Path) -> None:
    for name in (
        "case/slide.svs",
        "case/label.jpg",
        "case/Macro.tif",
        "case/slide.png",
        "pictures/a.png",
        "pictures/label.tif",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    found = [path.relative_to(tmp_path).as_posix() for path in slides_in(tmp_path)]
    assert found == ["case/slide.svs", "pictures/a.png", "pictures/label.tif"]


def test_a_mirax_slide_has_the_files_of_its_folder(tmp_path: Path) -> None:
    names = [PurePosixPath(name) for name in ("J.mrxs", "J/Slidedat.ini", "J/label.jpg", "J2/x.svs", "J/sub/Data.dat")]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_bytes(b"x")
    assert slides_among({name: tmp_path / name for name in names}) == [
        [PurePosixPath(name) for name in ("J.mrxs", "J/Slidedat.ini", "J/label.jpg", "J/sub/Data.dat")],
        [PurePosixPath("J2/x.svs")],
    ]


def test_a_list_that_leads_elsewhere_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.dat").write_bytes(b"secret")
    (tmp_path / "J").mkdir()
    (tmp_path / "J.mrxs").write_bytes(b"x")
    (tmp_path / "J/Slidedat.ini").write_bytes(b"[DATAFILE]\nFILE_0=../secret.dat\nFILE_1=Data0001.dat\n")
    (tmp_path / "J/Data0001.dat").write_bytes(b"data")
    assert [path.name for path in files_of(tmp_path / "J.mrxs")] == ["J.mrxs", "Data0001.dat", "Slidedat.ini"]


SERIES, INSTANCE, SLIDE_CLASS = "1.2.3.4", "1.2.3.4.5", "1.2.840.10008.5.1.4.1.1.77.1.6"


def element(
    group: int, number: int, kind: bytes, value: bytes, *, explicit: bool = True, order: str = "<", length: int = -1
) -> bytes:
    length = len(value) if length < 0 else length
    if not explicit:
        return struct.pack(f"{order}HHI", group, number, length) + value
    if kind in (b"SQ", b"OB", b"UN"):
        return struct.pack(f"{order}HH2sHI", group, number, kind, 0, length) + value
    return struct.pack(f"{order}HH2sH", group, number, kind, length) + value


def written(
    path: Path,
    syntax: bytes,
    *,
    explicit: bool = True,
    order: str = "<",
    image_type: bytes = b"ORIGINAL\\PRIMARY\\VOLUME\\NONE ",
) -> Path:
    def add(group: int, number: int, kind: bytes, value: bytes, length: int = -1) -> bytes:
        return element(group, number, kind, value, explicit=explicit, order=order, length=length)

    item = struct.pack(f"{order}HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    ends = struct.pack(f"{order}HHIHHI", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
    nested = item + add(0x0020, 0x000E, b"UI", b"9.9.9.9\0") + ends
    path.write_bytes(
        b"\0" * 128
        + b"DICM"
        + element(2, 0x10, b"UI", syntax)
        + add(0x0008, 0x0008, b"CS", image_type)
        + add(0x0008, 0x0016, b"UI", SLIDE_CLASS.encode())
        + add(0x0008, 0x0018, b"UI", INSTANCE.encode() + b"\0")
        + add(0x0008, 0x1115, b"SQ", nested, 0xFFFFFFFF)
        + add(0x0010, 0x0010, b"PN", b"DOE^JANE")
        + add(0x0020, 0x000E, b"UI", SERIES.encode() + b"\0")
        + add(0x7FE0, 0x0010, b"OB", b"pixels")
    )
    return path


@pytest.mark.parametrize(
    ("syntax", "explicit", "order"),
    [(b"1.2.840.10008.1.2.1\0", True, "<"), (b"1.2.840.10008.1.2\0", False, "<"), (b"1.2.840.10008.1.2.2\0", True, ">")],
)
def test_a_head_is_read_in_every_encoding(tmp_path: Path, syntax: bytes, explicit: bool, order: str) -> None:
    path = written(tmp_path / "IM0", syntax, explicit=explicit, order=order)
    assert dicom_head(path) == DicomHead(SERIES, SLIDE_CLASS, sop_instance_uid=INSTANCE)
    assert shows_tissue(path)
    path = written(tmp_path / "IM1", syntax, explicit=explicit, order=order, image_type=b"ORIGINAL\\PRIMARY\\OVERVIEW\\NONE ")
    assert dicom_head(path) == DicomHead(SERIES, SLIDE_CLASS, sop_instance_uid=INSTANCE)
    assert not shows_tissue(path)


def test_a_damaged_head_says_what_could_be_read_and_ends(tmp_path: Path) -> None:
    whole = written(tmp_path / "IM0", b"1.2.840.10008.1.2.1\0").read_bytes()
    path = tmp_path / "damaged"
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        head = dicom_head(path)
        assert (head is None) == (cut < 132)
        assert head is None or head.series_uid in ("", SERIES)
    path.write_bytes(whole[:132] + b"\x08\x00\x05\x00CS\x00\x00" * 2_000_000)
    assert dicom_head(path) == DicomHead("", "")
    assert dicom_head(tmp_path / "none") is None
    assert dicom_head(tmp_path) is None
