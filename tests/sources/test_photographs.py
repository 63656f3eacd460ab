"""Photographs of label and glass are gone from every format, the tissue is untouched, or the slide is refused."""

import shutil
import struct
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import openslide
import pytest
import tifffile

from cervix.errors import UploadRefused
from cervix.intake.photographs import erase_photographs
from cervix.intake.uploads import UploadStore
from cervix.settings import get_settings
from cervix.sources.opening import open_slide
from cervix.sources.photographs.dicom import shows_tissue
from cervix.sources.photographs.erasing import erase
from cervix.sources.photographs.spans import merged, overlap, rest_of, spans_of
from cervix.sources.photographs.tiff import without_pictures
from tests.intake.test_uploads import UPLOAD, send
from tests.sources import photographed
from tests.sources.damaged import damaged, photographs_in, structure_of
from tests.sources.photographed import levels_of, photograph, still_readable
from tests.sources.test_probe import OTHERS_BESIDE

MADE: dict[str, Callable[[Path], None]] = {
    "slide.svs": photographed.write_svs,
    "slide.scn": photographed.write_scn,
    "slide.bif": photographed.write_ventana,
    "slide.tiff": photographed.write_philips,
    "slide.ndpi": photographed.write_ndpi,
    "slide.czi": photographed.write_czi,
}


def copy(original: Path, folder: Path) -> Path:
    path = folder / f"slide{original.suffix}"
    shutil.copyfile(original, path)
    if original.suffix == ".mrxs":
        shutil.copytree(original.with_suffix(""), path.with_suffix(""), copy_function=shutil.copyfile)
    return path


@pytest.mark.parametrize("name", MADE)
def test_no_photograph_is_left_in_any_format_and_no_level_is_touched(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    MADE[name](path)
    before, size = levels_of(path), path.stat().st_size
    assert {"label", "macro"} & set(still_readable(path))
    assert erase(str(path)) > 5_000
    assert still_readable(path) == []
    assert levels_of(path) == before
    assert path.stat().st_size == size


def test_mirax_photographs_are_gone_from_data_and_slide_file(tmp_path: Path, cases_dir: Path) -> None:
    path = tmp_path / "slide.mrxs"
    photographed.write_mirax(path, cases_dir / "slides/mirax_bounds.mrxs")
    before = levels_of(path)
    assert set(still_readable(path)) == {"label", "macro", "thumbnail"}
    erase(str(path))
    assert still_readable(path) == []
    assert levels_of(path) == before
    # What OpenSlide does not know of: one more photograph, the slide file's own picture, a file that is none of the slide's.
    assert (path.with_suffix("") / "Data0000.dat").read_bytes().count(b"JFIF") == original_tiles(cases_dir) + 4
    assert not path.read_bytes().strip(b"\0")
    assert not (path.with_suffix("") / "Label.jpg").exists()


def original_tiles(cases_dir: Path) -> int:
    return (cases_dir / "slides/mirax_bounds/Data0000.dat").read_bytes().count(b"JFIF")


@pytest.mark.parametrize(
    "name",
    [
        "mirax_bounds.mrxs",
        "ome_subifd_xmlonly.ome.tif",
        "pyramid_one_damaged_l0_tile.tif",
        "grey8.tif",
    ],
)
def test_a_slide_without_photographs_stays_as_it_is(name: str, tmp_path: Path, cases_dir: Path) -> None:
    path = copy(cases_dir / "slides" / name, tmp_path)
    erase(str(path))
    before, after = (np.frombuffer(file.read_bytes(), np.uint8) for file in (cases_dir / "slides" / name, path))
    # Bytes between the images, which nothing reads.
    assert (before != after).sum() < 32


def test_reduced_images_below_a_page_stay(tmp_path: Path, cases_dir: Path) -> None:
    original = cases_dir / "slides/ome_subifd_xmlonly.ome.tif"
    path = copy(original, tmp_path)
    erase(str(path))
    with tifffile.TiffFile(original) as before, tifffile.TiffFile(path) as after:
        assert len(before.pages[0].pages) > 0
        for old, new in zip([before.pages[0], *before.pages[0].pages], [after.pages[0], *after.pages[0].pages], strict=True):
            assert (old.asarray() == new.asarray()).all()


def test_levels_flagged_as_reduced_are_not_taken_for_labels(tmp_path: Path, cases_dir: Path) -> None:
    original = cases_dir / "slides/svs_level_reduced_flag.svs"
    path = copy(original, tmp_path)
    erase_photographs(path)
    assert levels_of(path) == levels_of(original)
    assert still_readable(path) == []


def test_a_label_in_the_place_of_the_thumbnail_is_gone(tmp_path: Path, cases_dir: Path) -> None:
    original = cases_dir / "slides/svs_label_no_thumbnail.svs"
    path = copy(original, tmp_path)
    assert set(still_readable(path)) == {"macro", "thumbnail"}
    erase_photographs(path)
    assert still_readable(path) == []
    assert levels_of(path) == levels_of(original)
    content = path.read_bytes()
    assert not any(stored in content for stored in photographs_in(original))


def test_a_label_that_damage_hides_from_one_reader_is_refused(tmp_path: Path, cases_dir: Path) -> None:
    path = copy(cases_dir / "hostile/label_left_after_blanking.svs", tmp_path)
    with pytest.raises(
        UploadRefused, match=r"^This slide may hold a photograph of its label, with a name, .* Remove label and macro"
    ):
        erase_photographs(path)


def test_the_bytes_of_the_photographs_are_nowhere_in_the_file(tmp_path: Path, data_dir: Path) -> None:
    original = data_dir / "slides/CMU-1-Small-Region.svs"
    path = copy(original, tmp_path)
    begun = time.monotonic()
    erase_photographs(path)
    assert time.monotonic() - begun < 5 * OTHERS_BESIDE
    content = path.read_bytes()
    assert not any(stored in content for stored in photographs_in(original))
    assert levels_of(path) == levels_of(original)
    before = path.read_bytes()
    erase_photographs(path)
    assert path.read_bytes() == before


def test_what_lies_between_the_images_is_gone(tmp_path: Path, data_dir: Path) -> None:
    path = tmp_path / "slide.svs"
    content = bytearray((data_dir / "slides/CMU-1-Small-Region.svs").read_bytes())
    with tifffile.TiffFile(data_dir / "slides/CMU-1-Small-Region.svs") as file:
        page = file.pages[1]
        count = struct.unpack_from("<H", content, page.offset)[0]
    # The chain of directories ends before label and macro image: no reader finds them, and their bytes would stay.
    struct.pack_into("<I", content, page.offset + 2 + 12 * count, 0)
    path.write_bytes(content)
    erase(str(path))
    after = path.read_bytes()
    assert not any(stored in after for stored in photographs_in(data_dir / "slides/CMU-1-Small-Region.svs"))


def tiny_svs(path: Path, *, offset: int, counts: list[int], big: bool) -> None:
    """A small Aperio slide whose last directory, a label, says that it lies elsewhere."""
    head = "Aperio Image Library v10.0.51\r\n"
    tissue = np.full((16, 16, 3), 200, np.uint8)
    with tifffile.TiffWriter(path, bigtiff=big) as out:
        out.write(tissue, tile=(16, 16), metadata=None, software=False, description=f"{head}16x16 (16x16)|AppMag = 20")
        label = np.zeros((len(counts), 8, 3), np.uint8)
        out.write(label, rowsperstrip=1, metadata=None, software=False, description=f"{head}label 8x8")
    with tifffile.TiffFile(path, mode="r+b") as file:
        tags = file.pages[1].tags
        tags["StripOffsets"].overwrite([offset] * len(counts) if len(counts) > 1 else offset, dtype="Q" if big else "I")
        tags["StripByteCounts"].overwrite(counts if len(counts) > 1 else counts[0], dtype="Q" if big else "I")


@pytest.mark.parametrize(
    ("offset", "counts", "big"),
    [
        (4_000_000_000, [4_000_000_000], False),
        (600, [4_000_000_000], False),
        (1 << 40, [1 << 40], True),
        (1 << 62, [1 << 62], True),
        (700, [1 << 40] * 1000, True),
        ((1 << 64) - 8, [16], True),
    ],
)
def test_a_label_that_claims_to_lie_outside_the_file_is_refused_and_nothing_is_written(
    tmp_path: Path, offset: int, counts: list[int], big: bool
) -> None:
    path = tmp_path / "slide.svs"
    tiny_svs(path, offset=offset, counts=counts, big=big)
    before = path.read_bytes()
    with pytest.raises(UploadRefused, match="may hold a photograph"):
        erase_photographs(path)
    assert path.read_bytes() == before


def test_a_label_that_lies_across_the_tissue_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    path = tmp_path / "slide.svs"
    photographed.write_svs(path)
    with tifffile.TiffFile(path, mode="r+b") as file:
        into = file.pages[0].dataoffsets[3] + 10
        tag = file.pages[3].tags["StripOffsets"]
        tag.overwrite([into, *tag.value[1:]])
    before = path.read_bytes()
    with pytest.raises(UploadRefused, match="lies across others"):
        erase(str(path))
    assert path.read_bytes() == before


def test_a_label_that_is_tiled_like_a_level_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "slide.svs"
    photographed.write_svs(path)
    with tifffile.TiffWriter(path, append=True) as out:
        out.write(photograph(), tile=(256, 256), metadata=None, description="Aperio Image Library\r\nlabel 390x460")
    with pytest.raises(UploadRefused, match="another shape than the slide"):
        erase(str(path))


def test_pictures_within_a_description_are_overwritten_and_the_rest_of_it_stays() -> None:
    coded = b"iVBORw0KGgo" * 200
    lines = b"&#10;".join(coded[start : start + 76] for start in range(0, len(coded), 76))
    words = b"<Name>Philips</Name> " + b"scanned in the laboratory of pathology " * 50
    for picture in (coded, lines, lines.replace(b"&#10;", b"\n")):
        text = words + b'<Attribute Name="PIM_DP_IMAGE_DATA">' + picture + b"</Attribute>" + words
        after = without_pictures(text)
        assert len(after) == len(text)
        assert after.startswith(words)
        assert after.endswith(words)
        assert b"iVBOR" not in after
    assert without_pictures(words) == words


@pytest.mark.parametrize(
    "kind", ["LABEL\\NONE", "OVERVIEW\\NONE", "THUMBNAIL\\NONE", "LOCALIZER\\NONE", "LCBEL\\NONE", "\\NONE"]
)
def test_a_dicom_instance_that_is_no_level_or_does_not_say_is_left_out(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    path.write_bytes(bytes(128) + b"DICM\x08\x00\x08\x00CS\x1c\x00ORIGINAL\\PRIMARY\\" + kind.encode() + bytes(64))
    assert not shows_tissue(path)


def test_a_dicom_level_is_kept_unless_the_label_is_in_it(tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    head = bytes(128) + b"DICM\x08\x00\x08\x00CS\x1c\x00DERIVED\\PRIMARY\\VOLUME\\RESAMPLED "
    for in_image, kept in ((b"NO", True), (b"YES ", False)):
        path.write_bytes(head + b"\x48\x00\x10\x00CS" + struct.pack("<H", len(in_image)) + in_image + bytes(64))
        assert shows_tissue(path) is kept


@pytest.mark.parametrize(("name", "found"), [("text_renamed.svs", "no reader knows"), ("cmu_truncated_50pct.svs", "cut short")])
def test_what_nothing_can_open_is_no_slide(name: str, found: str, tmp_path: Path, data_dir: Path) -> None:
    with pytest.raises(UploadRefused, match=f"not a slide that can be read: .*{found}"):
        erase(str(copy(data_dir / "slides/broken" / name, tmp_path)))


def test_a_czi_attachment_that_claims_the_tissue_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "slide.czi"
    photographed.write_czi(path)
    content = bytearray(path.read_bytes())
    (directory,) = struct.unpack_from("<q", content, 104)
    # The third, which OpenSlide does not look at.
    third = directory + 32 + 256 + 2 * 128 + 12
    (place,) = struct.unpack_from("<q", content, third)
    assert content[place : place + 12] == b"ZISRAWATTACH"
    struct.pack_into("<q", content, third, content.index(b"ZISRAWSUBBLOCK"))
    path.write_bytes(content)
    with pytest.raises(UploadRefused, match="another kind than its directory says"):
        erase(str(path))
    assert path.read_bytes() == bytes(content)


def test_a_slide_with_flipped_bits_shows_no_photograph_or_is_refused(tmp_path: Path) -> None:
    original, path = tmp_path / "original.svs", tmp_path / "slide.svs"
    photographed.write_svs(original)
    content, places, random = original.read_bytes(), structure_of(original), np.random.default_rng(18)
    stored = [part for part in photographs_in(original) if len(set(part)) > 4]
    ended: Counter[str] = Counter()
    for _ in range(50):
        path.write_bytes(damaged(content, places, random))
        try:
            before = levels_of(path)
        except openslide.OpenSlideError:
            before = []
        try:
            erase(str(path))
        except Exception as error:  # noqa: BLE001 - whatever it is, a process apart makes a refusal of it
            ended[type(error).__name__] += 1
            continue
        finally:
            assert path.stat().st_size == len(content)
        ended["accepted"] += 1
        after = path.read_bytes()
        assert still_readable(path) == []
        assert not any(part in after for part in stored)
        if before:
            assert levels_of(path) == before
    assert ended["accepted"] > 10
    assert ended["UploadRefused"] > 2


class TestUpload:
    """As it comes through the upload."""

    def test_a_refused_slide_leaves_nothing(self, tmp_path: Path, cases_dir: Path) -> None:
        store = UploadStore(tmp_path / "uploads", 50_000_000)
        send(store, (cases_dir / "hostile/label_left_after_blanking.svs").read_bytes(), "a.svs")
        with pytest.raises(UploadRefused, match="photograph of its label"):
            store.finish(UPLOAD)
        assert not [file for file in store.folder.rglob("*") if file.is_file()]

    def test_an_accepted_slide_scores_as_on_the_command_line(self, tmp_path: Path, cases_dir: Path) -> None:
        store, original = UploadStore(tmp_path / "uploads", 50_000_000), cases_dir / "slides/svs_level_reduced_flag.svs"
        send(store, original.read_bytes(), "a.svs")
        (path,) = store.finish(UPLOAD)
        assert still_readable(path) == []
        ours, theirs = open_slide(path, sha256=path.parent.name), open_slide(original)
        assert (ours.sha256, ours.level_downsamples, ours.spacing_um_px) == (
            theirs.sha256, theirs.level_downsamples, theirs.spacing_um_px,
        )  # fmt: skip
        assert ours.overview(4.0)[0].tobytes() == theirs.overview(4.0)[0].tobytes()

    def test_in_a_closed_room_photographs_may_stay(
        self, tmp_path: Path, cases_dir: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        content = (cases_dir / "slides/svs_label_no_thumbnail.svs").read_bytes()
        monkeypatch.setenv("CERVIX_KEEP_LABEL_PHOTOGRAPHS", "true")
        get_settings.cache_clear()
        open_room = UploadStore(tmp_path / "uploads", 50_000_000, keep_photographs=get_settings().keep_label_photographs)
        get_settings.cache_clear()
        send(open_room, content, "a.svs")
        (path,) = open_room.finish(UPLOAD)
        assert path.read_bytes() == content
        # The same slide, when photographs are not kept any more.
        send(UploadStore(open_room.folder, 50_000_000), content, "a.svs")
        assert list(UploadStore(open_room.folder, 50_000_000).finish(UPLOAD, {0: "a.svs"})) == [path]
        assert still_readable(path) == []

    def test_further_pages_of_a_single_picture_are_gone(self, tmp_path: Path) -> None:
        original = tmp_path / "picture.tif"
        with tifffile.TiffWriter(original) as out:
            out.write(photograph(400, 300, "tissue"), compression="lzw", metadata=None)
            out.write(photograph(), compression="lzw", metadata=None, description="Label")
        *_, stored = photographs_in(original)
        store = UploadStore(tmp_path / "uploads", 50_000_000)
        path = store.store_picture("Jane Doe.tif", memoryview(original.read_bytes()))
        assert stored not in path.read_bytes()
        assert np.array_equal(np.asarray(open_slide(path).overview(1.0)[0]), photograph(400, 300, "tissue"))

    def test_a_dicom_series_without_its_photographs_passes(self, tmp_path: Path, cases_dir: Path) -> None:
        store = UploadStore(tmp_path / "uploads", 50_000_000)
        with zipfile.ZipFile(cases_dir / "slides/two_dicom_one_folder.zip") as archive:
            levels = [name for name in archive.namelist() if b"\\VOLUME\\" in archive.read(name)[:65_536]]
            for number, name in enumerate(archive.namelist()):
                send(store, archive.read(name), name, number=number)
        paths = store.finish(UPLOAD)
        assert sum(len(list(path.parent.glob("*.dcm"))) for path in paths) == len(levels)
        assert [still_readable(path) for path in paths] == [[]] * len(paths)


def test_spans_are_merged_and_their_rest_and_overlap_told() -> None:
    spans = merged(spans_of([(10, 5), (0, 4), (12, 10), (30, 0), (4, 1)]))
    assert spans.tolist() == [[0, 5], [10, 22]]
    assert rest_of(spans, 30).tolist() == [[5, 10], [22, 30]]
    assert rest_of(spans_of([]), 3).tolist() == [[0, 3]]
    assert overlap(spans, spans_of([(21, 1)]))
    assert overlap(spans_of([(0, 100)]), spans)
    assert not overlap(spans, spans_of([(5, 5), (22, 8)]))
    assert not overlap(spans, spans_of([]))
