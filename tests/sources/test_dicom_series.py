"""A DICOM series is read as the slide it was converted from, whatever its encoding, or refused in one sentence."""

import copy
import io
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image, ImageCms
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, encapsulate_extended
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, JPEGBaseline8Bit, generate_uid

from cervix.errors import CervixError, SlideScaleUnknown
from cervix.sources.dicom_series import require_one_slide
from cervix.sources.examining import examine_slide
from cervix.sources.identity import files_of, identity_of, slides_in
from cervix.sources.opening import open_slide
from cervix.sources.probe import probe_slide
from cervix.sources.slide import Box, Slide
from tests.dicom_slides import CMU_TILE_PX, TELLING, frames_of, recompressed, rewritten, set_frames, sparse

CMU = "slides/CMU-1-Small-Region.svs"
Change = Callable[[Dataset, int], object]


@pytest.fixture(scope="module")
def source(data_dir: Path) -> Slide:
    return open_slide(data_dir / CMU)


def pixels(slide: Slide, downsample: float = 1.0) -> np.ndarray:
    return np.asarray(slide.overview(downsample)[0], np.int16)


def jpeg2000(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG2000", irreversible=False, mct=1, no_jp2=True)
    return stream.getvalue()


def jpeg(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=95)
    return stream.getvalue()


def in_jpeg_2000(dataset: Dataset, _: int) -> None:
    recompressed(dataset, syntax=JPEG2000Lossless, colours="YBR_RCT", encode=jpeg2000)


def without_compression(dataset: Dataset, _: int) -> None:
    recompressed(dataset, syntax=ExplicitVRLittleEndian, colours="RGB", encode=lambda image: image.tobytes())
    del dataset.LossyImageCompressionRatio


def test_a_series_is_one_slide_like_its_source(cmu_dicom: Path, source: Slide) -> None:
    (path,) = slides_in(cmu_dicom)
    assert probe_slide(path).parts_unreadable == 0
    slide = open_slide(path)
    assert len(files_of(path)) == len(slide.level_downsamples) == 5
    assert (slide.width_l0_px, slide.height_l0_px) == (source.width_l0_px, source.height_l0_px)
    assert slide.spacing_um_px == source.spacing_um_px
    assert np.array_equal(pixels(slide), pixels(source))
    for downsample in (2.0, 4.0, 8.0, 16.0):
        assert slide.overview(downsample)[1] == pytest.approx(downsample, rel=0.01), "each smaller level is used"
        shown, wanted = (pixels(each, downsample).mean(axis=(0, 1)) for each in (slide, source))
        assert np.abs(shown - wanted).max() < 1, "in true colours, although these levels say RGB and are YBR"
    assert "4 of 5 levels say RGB while their frames are YBR; they were read as YBR." in slide.notices


def test_frames_cut_at_the_edge_are_told_and_cost_themselves_alone(
    cmu_dicom: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(dataset: Dataset, number: int) -> None:
        if number:
            *others, last = frames_of(dataset)
            with Image.open(io.BytesIO(last)) as image:
                set_frames(dataset, [*others, jpeg(image.crop((0, 0, 60, dataset.Rows)))])

    slide = open_slide(rewritten(cmu_dicom, tmp_path / "cut", cut))
    assert any(notice.startswith("4 of 5 levels have frames at the edge that are smaller") for notice in slide.notices)
    assert not any("smaller" in notice for notice in open_slide(slides_in(cmu_dicom)[0]).notices)
    holes: list[Box] = []
    picture, scale = slide.overview(4.0, holes_l0_px=holes)
    assert not (scale * CMU_TILE_PX).is_integer(), "a tile of this level begins between two pixels of level 0"
    assert holes == [], "the finer level shows what is lost"
    shown, whole = np.asarray(picture, float), pixels(open_slide(slides_in(cmu_dicom)[0]), 4.0).astype(float)
    assert np.abs(shown - whole).mean() < 2, "where it stands, but for how it was made smaller"
    monkeypatch.setattr("cervix.sources.slide.FINER_PX_AT_MOST", 0)
    assert slide.overview(4.0, holes_l0_px=holes)[1] == scale
    across = scale * CMU_TILE_PX
    assert [(left, top) for left, top, *_ in holes] == [(round(2 * across), round(3 * across))], "and alone without one"


@pytest.mark.parametrize("change", [lambda dataset, _: sparse(dataset), in_jpeg_2000, without_compression])
def test_every_encoding_shows_the_same_pixels(change: Change, cmu_dicom: Path, tmp_path: Path) -> None:
    # Without the finest level, which takes long to encode.
    smaller = rewritten(cmu_dicom, tmp_path / "smaller", lambda *_: None)
    smaller.unlink()
    path = rewritten(smaller.parent, tmp_path / "series", change)
    facts = examine_slide(str(path))
    assert (facts["width_l0_px"], len(facts["level_downsamples"]), facts["parts_unreadable"]) == (1110, 4, 0)
    # The chroma of its frames is brought to full size by another library.
    shown, stored = (pixels(open_slide(file)) for file in (path, smaller.with_name("1.dcm")))
    assert np.abs(shown - stored).mean() < 1


@pytest.mark.parametrize("table", ["long", "none"])
def test_frames_are_found_by_a_long_table_and_without_any(table: str, cmu_dicom: Path, tmp_path: Path) -> None:
    def with_table(dataset: Dataset, _: int) -> None:
        frames = frames_of(dataset)
        if table == "none":
            dataset.PixelData = encapsulate(frames, has_bot=False)
        else:
            dataset.PixelData, dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths = encapsulate_extended(frames)

    path = rewritten(cmu_dicom, tmp_path / "series", with_table)
    require_one_slide(files_of(path))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(CervixError, match="beyond the end of the file: expected 130"):
        require_one_slide(files_of(path))


def test_a_level_in_parts_is_put_together_or_its_missing_part_is_named(cmu_dicom: Path, tmp_path: Path, source: Slide) -> None:
    path = rewritten(cmu_dicom, tmp_path / "series", lambda *_: None)
    whole = pydicom.dcmread(path)
    path.unlink()
    frames, concatenation = frames_of(whole), generate_uid()
    for number, first in enumerate(range(0, len(frames), 50)):
        part = copy.deepcopy(whole)
        part.SOPInstanceUID = part.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        part.ConcatenationUID, part.SOPInstanceUIDOfConcatenationSource = concatenation, whole.SOPInstanceUID
        part.InConcatenationNumber, part.InConcatenationTotalNumber = number + 1, 3
        part.ConcatenationFrameOffsetNumber = first
        set_frames(part, frames[first : first + 50])
        part.save_as(path.parent / f"part-{number}.dcm")
    path = path.parent / "part-0.dcm"
    require_one_slide(files_of(path))
    assert np.array_equal(pixels(open_slide(path)), pixels(source))
    (path.parent / "part-1.dcm").unlink()
    with pytest.raises(CervixError, match=r"Parts of a level .* are missing.* expected 3 files; found 2\. Add the other files"):
        require_one_slide(files_of(path))


def test_a_hole_in_a_sparse_level_is_white_and_said(cmu_dicom: Path, tmp_path: Path) -> None:
    path = rewritten(cmu_dicom, tmp_path / "series", lambda dataset, number: sparse(dataset, left_out=() if number else (7, 8)))
    require_one_slide(files_of(path))
    slide = open_slide(path)
    assert "2 of 130 tiles are missing in the file; they are shown white and count as glass." in slide.notices
    assert np.asarray(slide.read(7 * 240, 0, 0, 240, 240)).min() == 255


def test_what_lies_there_twice_and_other_series_change_nothing(cmu_dicom: Path, tmp_path: Path) -> None:
    path = rewritten(cmu_dicom, tmp_path / "series", lambda *_: None)
    before = identity_of(path)
    other = rewritten(cmu_dicom, tmp_path / "other", lambda dataset, _: setattr(dataset, "SeriesInstanceUID", "1.2.3.4"))
    for file in other.parent.iterdir():
        shutil.copy(file, path.parent / f"other-{file.stem}")
    assert identity_of(path) == before
    assert len(slides_in(path.parent)) == 2
    shutil.copy(path, path.parent / "again.dcm")
    require_one_slide(files_of(path))
    assert examine_slide(str(path))["width_l0_px"] == 2220


def test_colours_of_another_profile_are_converted_and_said(cmu_dicom: Path, tmp_path: Path, source: Slide) -> None:
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()

    def with_other_primaries(dataset: Dataset, _: int) -> None:
        # Red and blue exchanged in the directory of the profile: a colour space of its own.
        dataset.OpticalPathSequence[0].ICCProfile = (
            icc.replace(b"rXYZ", b"\0\0\0\1").replace(b"bXYZ", b"rXYZ").replace(b"\0\0\0\1", b"bXYZ")
        )

    slide = open_slide(rewritten(cmu_dicom, tmp_path / "series", with_other_primaries))
    assert any("Colours were converted from the file's profile" in notice for notice in slide.notices)
    shown, stored = pixels(slide), pixels(source)
    assert np.abs(shown[..., ::-1] - stored).mean() < 2, "what the file calls red is blue"


def test_a_slide_without_spacing_is_asked_for_it(cmu_dicom: Path, tmp_path: Path) -> None:
    def without_spacing(dataset: Dataset, _: int) -> None:
        del dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence

    path = rewritten(cmu_dicom, tmp_path / "series", without_spacing)
    require_one_slide(files_of(path))
    with pytest.raises(SlideScaleUnknown, match="Give micrometres per pixel"):
        _ = open_slide(path).known_spacing_um_px


def only_first(change: Callable[[Dataset], object]) -> Change:
    return lambda dataset, number: None if number else change(dataset)


def said_of_all(**values: object) -> Change:
    def change(dataset: Dataset, _: int) -> None:
        for keyword, value in values.items():
            setattr(dataset, keyword, value)

    return change


def said_of_first(**values: object) -> Change:
    return only_first(lambda dataset: said_of_all(**values)(dataset, 0))


def without_last(count: int, *, said: bool) -> Change:
    def change(dataset: Dataset) -> None:
        stated = dataset.NumberOfFrames
        set_frames(dataset, frames_of(dataset)[:-count])
        if not said:
            dataset.NumberOfFrames = stated

    return only_first(change)


def with_empty_frames(dataset: Dataset) -> None:
    set_frames(dataset, [b"\0\0" if number < 20 else frame for number, frame in enumerate(frames_of(dataset))])


def test_a_few_empty_frames_and_a_name_written_in_two_ways_are_borne(cmu_dicom: Path, tmp_path: Path) -> None:
    def change(dataset: Dataset) -> None:
        set_frames(dataset, [b"\0\0" if number < 13 else frame for number, frame in enumerate(frames_of(dataset))])
        dataset.PatientName = f"{dataset.PatientName}^^"

    require_one_slide(files_of(rewritten(cmu_dicom, tmp_path / "series", only_first(change))))


def through_two_paths(dataset: Dataset, _: int) -> None:
    dataset.OpticalPathSequence.append(copy.deepcopy(dataset.OpticalPathSequence[0]))
    dataset.OpticalPathSequence[1].OpticalPathIdentifier = "1"
    set_frames(dataset, frames_of(dataset) * 2)


def twice_as_fine(dataset: Dataset) -> None:
    dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing = [0.00025, 0.00025]


def as_ybr_frames(dataset: Dataset, _: int) -> None:
    recompressed(dataset, syntax=JPEGBaseline8Bit, colours="RGB", encode=jpeg)


def with_offsets_beyond_all(dataset: Dataset) -> None:
    frames = frames_of(dataset)
    dataset.PixelData, dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths = encapsulate_extended(frames)
    dataset.ExtendedOffsetTable = (2**63 + 5).to_bytes(8, "little") * len(frames)


def with_a_tile_a_pixel(dataset: Dataset) -> None:
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.PixelData = b"\0" * 12
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", False
    dataset.Rows = dataset.Columns = 1
    dataset.TotalPixelMatrixColumns = dataset.TotalPixelMatrixRows = 46_000
    dataset.NumberOfFrames = 46_000**2
    del dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing


REFUSED: list[tuple[str, Change, str]] = [
    ("two patients", said_of_first(PatientID="XX1"), "files of more than one patient: expected one patient; found 2"),
    ("two names", said_of_first(PatientName="Other^Name"), "files of more than one patient: expected one patient; found 2"),
    ("two studies", said_of_first(StudyInstanceUID="1.2.3"), "files of more than one study"),
    ("two frames of reference", said_of_first(FrameOfReferenceUID="1.2.3"), "more than one frame of reference"),
    ("two slides", said_of_first(ContainerIdentifier="XX2"), "files of more than one slide"),
    ("two pyramids", said_of_first(PyramidUID="1.2.3"), "files of more than one pyramid"),
    ("two places", only_first(twice_as_fine), "different parts of the glass: .* found 0.555 and 1.11 mm"),
    ("a segmentation", said_of_first(SOPClassUID="1.2.840.10008.5.1.4.1.1.66.4"), "found 1 of 5 files of another kind"),
    ("frames missing", without_last(1, said=True), "frames that its size needs: expected 130 for 2,220 × 2,967 px; found 129"),
    ("frames missing, unsaid", without_last(1, said=False), "missing, empty or beyond the end .*: expected 130 .*; found 129"),
    ("empty frames", only_first(with_empty_frames), "missing, empty or beyond the end .*: expected 130 .*; found 110"),
    ("too many frames", only_first(lambda d: set_frames(d, frames_of(d) * 2)), "expected 130 .*; found 260"),
    ("planes", said_of_all(TotalPixelMatrixFocalPlanes=3), "each place more than once: .* found 3 focal planes. Export one"),
    ("sparse planes", lambda dataset, _: sparse(dataset, planes=2), "more than once: .* found 260 frames at 130 places"),
    ("paths", through_two_paths, "each place more than once: .* found 2 optical paths"),
    ("one size twice", said_of_first(TotalPixelMatrixColumns=1110, TotalPixelMatrixRows=1484), "2 images of 1,110 × 1,484 px"),
    ("says YBR", said_of_first(PhotometricInterpretation="YBR_FULL_422"), "other colours .* found RGB. Correct Photometric"),
    ("greyscale", said_of_all(PhotometricInterpretation="MONOCHROME2"), "not an H&E .* found photometric .* MONOCHROME2"),
    ("palette", said_of_all(PhotometricInterpretation="PALETTE COLOR"), "not an H&E .* found photometric .* PALETTE COLOR"),
    ("16 bits", said_of_all(BitsAllocated=16), "not an H&E colour image: .* found 16 bits per channel"),
    ("planes apart", said_of_all(PlanarConfiguration=1), "cannot be read: .* found each colour apart"),
    ("offsets beyond all", only_first(with_offsets_beyond_all), "missing, empty or beyond the end .*: expected 130"),
    ("more frames than bytes", only_first(with_a_tile_a_pixel), "missing, empty or beyond the end"),
    ("no size", said_of_first(TotalPixelMatrixColumns=0), "does not state its size"),
]


@pytest.mark.parametrize(("change", "sentence"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_what_would_be_shown_wrongly_is_refused(change: Change, sentence: str, cmu_dicom: Path, tmp_path: Path) -> None:
    path = rewritten(cmu_dicom, tmp_path / "series", change)
    with pytest.raises(CervixError, match=sentence) as refused:
        require_one_slide(files_of(path))
    assert refused.value.expected
    assert refused.value.action
    assert not any(word in str(refused.value) for word in (*TELLING, "XX1", "XX2", "Other"))


@pytest.mark.parametrize(("transform", "found"), [(1, ""), (0, "found RGB")])
def test_the_marker_of_adobe_says_more_of_a_frames_colours_than_jfif(
    transform: int, found: str, cmu_dicom: Path, tmp_path: Path
) -> None:
    smaller = rewritten(cmu_dicom, tmp_path / "smaller", lambda *_: None)
    smaller.unlink()
    marker = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00" + bytes([transform])

    def change(dataset: Dataset, _: int) -> None:
        recompressed(
            dataset, syntax=JPEGBaseline8Bit, colours="YBR_FULL_422",
            encode=lambda image: jpeg(image)[:2] + marker + jpeg(image)[2:],
        )  # fmt: skip

    files = files_of(rewritten(smaller.parent, tmp_path / "series", change))
    if not found:
        require_one_slide(files)
        return
    with pytest.raises(CervixError, match=f"other colours than its frames have.*{found}"):
        require_one_slide(files)


def test_an_object_of_another_modality_is_no_slide_and_called_what_it_is(cmu_dicom: Path, tmp_path: Path) -> None:
    def as_ct(dataset: Dataset, _: int) -> None:
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]

    path = rewritten(cmu_dicom, tmp_path / "series", as_ct)
    assert slides_in(path.parent) == []
    with pytest.raises(CervixError, match="not a slide that can be read: .* found a DICOM object of another kind"):
        open_slide(path)


def test_another_compression_is_refused(cmu_dicom: Path, tmp_path: Path) -> None:
    path = rewritten(
        cmu_dicom,
        tmp_path / "series",
        lambda dataset, _: setattr(dataset.file_meta, "TransferSyntaxUID", "1.2.840.10008.1.2.4.80"),
    )
    with pytest.raises(CervixError, match=r"cannot be read: .* found transfer syntax 1\.2\.840\.10008\.1\.2\.4\.80"):
        require_one_slide(files_of(path))


def test_frames_of_two_colours_are_refused_and_ybr_frames_that_say_rgb_are_read_as_they_are(
    cmu_dicom: Path, tmp_path: Path, source: Slide
) -> None:
    def mixed(dataset: Dataset) -> None:
        stored = frames_of(dataset)
        recompressed(dataset, syntax=JPEGBaseline8Bit, colours="RGB", encode=jpeg)
        set_frames(dataset, [*stored[:65], *frames_of(dataset)[65:]])

    with pytest.raises(CervixError, match="other colours than its frames have.* found RGB and YBR"):
        require_one_slide(files_of(rewritten(cmu_dicom, tmp_path / "mixed", only_first(mixed))))
    path = rewritten(cmu_dicom, tmp_path / "ybr", as_ybr_frames)
    require_one_slide(files_of(path))
    assert np.abs(pixels(open_slide(path)) - pixels(source)).mean() < 3


@pytest.mark.parametrize(
    ("kept", "sentence"), [(0.5, "beyond the end of the file: expected 130"), (0.002, "A file of the DICOM")]
)
def test_a_truncated_file_is_refused(kept: float, sentence: str, cmu_dicom: Path, tmp_path: Path) -> None:
    path = rewritten(cmu_dicom, tmp_path / "series", lambda *_: None)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(CervixError, match=sentence):
        probe_slide(path)


def test_a_number_of_frames_that_is_none_is_refused(cmu_dicom: Path, tmp_path: Path) -> None:
    path = rewritten(cmu_dicom, tmp_path / "series", lambda *_: None)
    content = path.read_bytes()
    stated = b"\x28\x00\x08\x00IS\x04\x00130 "
    assert content.count(stated) == 1
    path.write_bytes(content.replace(stated, stated[:-4] + "1²".encode() + b" "))
    with pytest.raises(CervixError, match="frames that its size needs: expected 130"):
        require_one_slide(files_of(path))
