"""DICOM objects of a scored slide: read back by pydicom and highdicom, and laid over their source by its own header."""

import shutil
import subprocess
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from highdicom.ann import annread
from highdicom.pm import ParametricMap
from highdicom.seg import segread
from highdicom.spatial import ImageToReferenceTransformer, ReferenceToImageTransformer
from highdicom.sr import Comprehensive3DSR, srread
from pydicom.dataset import Dataset
from streamlit.testing.v1 import AppTest

from cervix import RESEARCH_NOTICE
from cervix.bundle import Bundle
from cervix.cli import main
from cervix.errors import SlideNotSuitable
from cervix.interop.dicom import why_no_objects, write_objects
from cervix.slides.decision import class_areas_mm2, decide_tiles
from cervix.slides.exports import tile_table
from cervix.slides.scoring import SlideScore, score_slide
from cervix.sources.opening import open_slide
from cervix.sources.slide import Slide
from tests.dicom_slides import PATIENT, TELLING, rewritten
from tests.pages.opening import TIMEOUT_S

Change = Callable[[Dataset, int], object]
OBJECTS = ("parametric-map", "segmentation", "report", "annotations")
# Far less than the pixel that is asked for: nothing but the rounding of decimal strings is allowed.
WITHIN_PX = 0.05
HALF = np.sqrt(0.5)


def as_it_is(series: Dataset, number: int) -> None:
    del series, number


def turned_and_moved(instance: Dataset, number: int) -> None:
    """An eighth of a turn, mirrored, far from the corner of the glass, and above it."""
    del number
    instance.ImageOrientationSlide = [HALF, HALF, 0, HALF, -HALF, 0]
    origin = instance.TotalPixelMatrixOriginSequence[0]
    origin.XOffsetInSlideCoordinateSystem, origin.YOffsetInSlideCoordinateSystem = "11.234567", "3.0625"
    origin.ZOffsetInSlideCoordinateSystem = "0.25"


def stretched(instance: Dataset, number: int) -> None:
    """Pixels that are a quarter wider than they are high."""
    del number
    measures = instance.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    rows, columns = measures.PixelSpacing
    measures.PixelSpacing = [float(rows), float(columns) * 1.25]


def partly(instance: Dataset, number: int) -> None:
    """As it is; the fixture has a part of it scanned alone."""
    as_it_is(instance, number)


PART = {"bounds_x_px": 300, "bounds_y_px": 501, "bounds_width_px": 1500, "bounds_height_px": 2003}


@dataclass(frozen=True)
class Written:
    """A scored series and its objects."""

    slide: Slide
    score: SlideScore
    source: Dataset
    folder: Path

    def read(self, name: str) -> Dataset:
        return pydicom.dcmread(self.folder / f"{name}.dcm")

    def on_source(self, places_mm: np.ndarray) -> np.ndarray:
        """Places on the glass, ``(n, 3)``, in pixels of the source's total pixel matrix, from its corner."""
        return ReferenceToImageTransformer.for_image(self.source, for_total_pixel_matrix=True)(places_mm)

    def on_file(self, places_l0_px: np.ndarray) -> np.ndarray:
        """Places on level 0, ``(n, 2)``, in pixels of the file, from the two scales that slide and file state."""
        rows, columns = self.source.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing
        return places_l0_px * self.slide.known_spacing_um_px / 1000 / [float(columns), float(rows)]

    def boxes(self) -> np.ndarray:
        """Left, top, right and bottom of each tile in pixels of the file."""
        x, y, size = self.score.tiles[["x_l0_px", "y_l0_px", "size_l0_px"]].to_numpy(float).T
        return np.hstack([self.on_file(np.column_stack([x, y])), self.on_file(np.column_stack([x + size, y + size]))])


def with_answers(score: SlideScore, bundle: Bundle) -> SlideScore:
    """The score as if the model knew three tiles of four; two could not be read."""
    model, random = bundle.session_of("tile").model, np.random.default_rng(7)
    columns = [f"p_{label}" for label in model.class_ids]
    tiles = score.tiles.copy()
    tiles[columns] = random.dirichlet(np.ones(len(columns)), len(tiles)).astype(np.float32)
    tiles["novelty"] = (random.random(len(tiles)) * 24).astype(np.float32)
    tiles.loc[tiles.index[:2], [*columns, "novelty"]] = np.nan
    return replace(score, tiles=tiles, summary=score.summary.model_copy(update={"answer": decide_tiles(tiles, model)}))


@pytest.fixture(scope="module", params=[as_it_is, turned_and_moved, stretched, partly], ids=lambda change: change.__name__)
def written(
    request: pytest.FixtureRequest, cmu_dicom: Path, bundle: Bundle, tmp_path_factory: pytest.TempPathFactory
) -> Written:
    folder = tmp_path_factory.mktemp(request.param.__name__)
    path = rewritten(cmu_dicom, folder / "series", request.param)
    slide = open_slide(path)
    if request.param is partly:
        slide = replace(slide, plane=slide.plane.model_copy(update=PART))
    score = with_answers(score_slide(slide, bundle), bundle)
    assert [file.stem for file in write_objects(score, slide, bundle.session_of("tile"), folder)] == list(OBJECTS)
    return Written(slide, score, pydicom.dcmread(path, stop_before_pixels=True), folder)


def test_every_object_lies_on_its_source_to_less_than_a_pixel(written: Written) -> None:
    boxes, lattice = written.boxes(), written.score.summary.lattice
    column, row = lattice.cells(*written.score.tiles[["x_l0_px", "y_l0_px"]].to_numpy(int).T)
    right, down = lattice.moved_in(*written.score.tiles[["x_l0_px", "y_l0_px"]].to_numpy(int).T)
    inside = (right == 0) & (down == 0)
    assert 20 < inside.sum() < len(boxes), "tiles at the border are moved in, and lie beside their cell"
    for name in ("parametric-map", "segmentation"):
        made = written.read(name)
        assert (made.TotalPixelMatrixRows, made.TotalPixelMatrixColumns) == (lattice.rows, lattice.columns)
        to_glass = ImageToReferenceTransformer.for_image(made, for_total_pixel_matrix=True)
        for across, corner in ((0, boxes[:, :2]), (1, boxes[:, 2:])):
            places = written.on_source(to_glass(np.column_stack([column + across, row + across]).astype(float)))
            assert np.abs(places[inside, :2] - corner[inside]).max() < WITHIN_PX, name
            assert np.abs(places[:, 2]).max() < WITHIN_PX, "in the plane of the source"
    region = written.read("report").ContentSequence[-1].ContentSequence[0]
    outline = next(item for item in region.ContentSequence if item.ValueType == "SCOORD3D")
    assert outline.ReferencedFrameOfReferenceUID == written.source.FrameOfReferenceUID
    corners = written.on_source(np.reshape(np.float64(outline.GraphicData), (-1, 3)))[:, :2]
    left, top, width, height = written.slide.plane.bounds_l0_px
    outline_l0_px = [[0, 0], [width, 0], [width, height], [0, height], [0, 0]]
    scanned = written.on_file(np.add(outline_l0_px, [left, top], dtype=float))
    assert np.abs(corners - scanned).max() < WITHIN_PX
    for group in annread(written.folder / "annotations.dcm").get_annotation_groups():
        for drawn in group.get_graphic_data("2D"):
            assert np.abs(np.hstack([drawn.min(axis=0), drawn.max(axis=0)]) - boxes).max(axis=1).min() < WITHIN_PX


def test_the_maps_hold_the_tile_table(written: Written, bundle: Bundle) -> None:
    model, score = bundle.session_of("tile").model, written.score
    table, lattice = tile_table(score, model), score.summary.lattice
    column, row = lattice.cells(*table[["x_l0_px", "y_l0_px"]].to_numpy(int).T)
    made = ParametricMap.from_dataset(written.read("parametric-map"))
    frames = made.get_frames(apply_real_world_transform=True, dtype=np.float64)
    assert len(frames) == made.NumberOfFrames == len(model.classes) + 1
    for number, (frame, label) in enumerate(zip(frames, [*(f"p_{item}" for item in model.class_ids), "novelty"], strict=True)):
        np.testing.assert_array_equal(frame[row, column], table[label].to_numpy(float))
        assert np.isnan(frame).sum() == frame.size - table[label].notna().sum()
        mapping = made.PerFrameFunctionalGroupsSequence[number].RealWorldValueMappingSequence[0]
        assert mapping.QuantityDefinitionSequence[0].ConceptCodeSequence[0].CodeValue == label
        assert mapping.MeasurementUnitsCodeSequence[0].CodeValue == "1"
        window, highest = made.PerFrameFunctionalGroupsSequence[number].FrameVOILUTSequence[0], np.nanmax(table["novelty"])
        assert float(window.WindowWidth) == pytest.approx(highest if label == "novelty" else 1.0), "all of it can be seen"
    shares = segread(written.folder / "segmentation.dcm").get_total_pixel_matrix(
        combine_segments=False, rescale_fractional=True
    )
    known = table["recognised"].to_numpy(bool)
    assert 0 < known.sum() < len(table)
    for number, label in enumerate(model.class_ids):
        np.testing.assert_allclose(shares[row[known], column[known], number], table[f"p_{label}"][known], atol=1 / 509)
        assert not shares[row[~known], column[~known], number].any()
    assert shares.shape == (lattice.rows, lattice.columns, len(model.classes))


def test_the_hot_tiles_are_those_called_cancerous(written: Written, bundle: Bundle) -> None:
    model, tiles = bundle.session_of("tile").model, written.score.tiles
    read = annread(written.folder / "annotations.dcm")
    groups = {group.label: group for group in read.get_annotation_groups()}
    assert set(groups) == {"Squamous-cell carcinoma", "Adenocarcinoma"}
    assert sum(group.number_of_annotations for group in groups.values()) == written.score.summary.answer.cancerous_tiles > 0
    boxes, found = written.boxes(), 0
    for label, code, other in (("scc", "1162767002", "ac"), ("ac", "1187332001", "scc")):
        group = groups[model.class_titles[label]]
        assert group.annotated_property_type.value == code
        names, values, _ = group.get_measurements()
        assert [name.meaning for name in names] == ["Probability of cancer"]
        for drawn, value in zip(group.get_graphic_data("2D"), values[:, 0], strict=True):
            index = int(np.abs(boxes[:, :2] - drawn.min(axis=0)).max(axis=1).argmin())
            row = tiles.iloc[index]
            assert value == pytest.approx(row["p_scc"] + row["p_ac"], abs=1e-6)
            assert value >= model.threshold(model.cancer_task.id)
            assert row[f"p_{label}"] >= row[f"p_{other}"]
            found += 1
    assert found == written.score.summary.answer.cancerous_tiles


def told(report: Dataset) -> list[dict[str, object]]:
    """Of each measurement group its finding, numbers with units, codes and texts."""
    groups = []
    for container in report.ContentSequence[-1].ContentSequence:
        group: dict[str, object] = {"texts": []}
        for item in container.ContentSequence:
            name = item.ConceptNameCodeSequence[0].CodeMeaning
            if item.ValueType == "NUM":
                value = item.MeasuredValueSequence[0]
                group[name] = (float(value.NumericValue), value.MeasurementUnitsCodeSequence[0].CodeValue)
            elif item.ValueType == "CODE":
                group[name] = item.ConceptCodeSequence[0].CodeMeaning
            elif item.ValueType == "TEXT" and name == "Comment":
                group["texts"].append(item.TextValue)  # type: ignore[attr-defined]
            elif item.ValueType == "TEXT":
                group[name] = item.TextValue
        groups.append(group)
    return groups


def test_the_report_says_what_the_page_says(written: Written, bundle: Bundle) -> None:
    assert isinstance(srread(written.folder / "report.dcm"), Comprehensive3DSR)
    model, score = bundle.session_of("tile").model, written.score
    answer = score.summary.answer
    slide, *kinds = told(written.read("report"))
    assert slide["Answer"] == answer.headline
    assert slide["Tiles read"] == (answer.tiles, "{tiles}")
    assert slide["Tiles recognised by the model"] == (answer.accepted_tiles, "{tiles}")
    assert slide["Tiles that could not be read"] == (2, "{tiles}")
    assert slide["Area of tissue"] == (pytest.approx(score.summary.tissue_area_mm2, abs=1e-6), "mm2")
    assert answer.cancerous_share is not None
    shares = [
        value for name, (value, unit) in ((n, v) for n, v in slide.items() if isinstance(v, tuple)) if unit == "1" and name
    ]
    assert shares == pytest.approx(list(answer.cancerous_share))
    said = {answer.sentence, answer.rule, model.organs_seen, *score.summary.notices, *model.intended_use, RESEARCH_NOTICE}
    assert said - {""} <= set(slide["texts"])  # type: ignore[call-overload]
    areas = class_areas_mm2(score.tiles, model, score.summary.spacing_um_px)
    assert [kind["Tracking Identifier"] for kind in kinds] == list(areas)
    for kind, area in zip(kinds, areas.values(), strict=True):
        assert kind["Area"] == (pytest.approx(area, abs=1e-6), "mm2")
    counts = [*answer.class_tiles.values(), answer.unrecognised_tiles, answer.unread_tiles]
    assert [kind["Tiles of this kind"] for kind in kinds] == [(count, "{tiles}") for count in counts]
    assert all(kind["Algorithm Parameters"] == f"bundle_sha256={bundle.sha256}" for kind in (slide, *kinds))


def test_each_is_filed_with_the_slide_and_says_what_it_is(written: Written, bundle: Bundle) -> None:
    read = [written.read(name) for name in OBJECTS]
    assert [made.Modality for made in read] == ["OT", "SEG", "SR", "ANN"]
    for made in read:
        for keyword in ("StudyInstanceUID", "PatientID", "PatientName", "PatientBirthDate", "AccessionNumber", "StudyDate"):
            assert made[keyword].value == written.source[keyword].value
        assert made.PatientID == PATIENT["PatientID"]
        assert made.get("FrameOfReferenceUID", written.source.FrameOfReferenceUID) == written.source.FrameOfReferenceUID
        assert made.SeriesDescription == RESEARCH_NOTICE
        assert made.Manufacturer == "Cervix Workbench"
        assert bundle.short_hash == made.DeviceSerialNumber
        assert str(written.source.SOPInstanceUID) in {
            str(element.value) for element in made.iterall() if element.keyword == "ReferencedSOPInstanceUID"
        }
    observer = [item.UID for item in read[2].ContentSequence if item.ValueType == "UIDREF"]
    assert observer == [f"2.25.{int(bundle.sha256[:32], 16)}"], "one bundle is one device, whatever it reports"
    own = [str(made[keyword].value) for made in read for keyword in ("SOPInstanceUID", "SeriesInstanceUID")]
    assert len({*own, str(written.source.SOPInstanceUID), str(written.source.SeriesInstanceUID)}) == len(own) + 2
    assert all(read[index].ContentDescription == RESEARCH_NOTICE for index in (0, 1, 3))
    algorithm = read[1].SegmentSequence[1].SegmentationAlgorithmIdentificationSequence[0]
    assert algorithm.AlgorithmParameters == f"bundle_sha256={bundle.sha256}"
    assert [segment.SegmentedPropertyTypeCodeSequence[0].CodingSchemeDesignator for segment in read[1].SegmentSequence] == [
        "99CERVIX", "SCT", "SCT", "99CERVIX",
    ]  # fmt: skip


# What dciodvfy (dicom3tools 1.00~20220618) says in error.
EXPLAINED = {
    # Not required of an image that lies in the slide coordinate system (PS3.3, C.7.6.1.1.1); it does not know the system.
    "segmentation": {"Error - Missing attribute Type 2C Conditional Element=<PatientOrientation> Module=<GeneralImage>"},
    # It is not there: the program takes an absent attribute for an empty one.
    "annotations": {"Error - Only valid for AnnotationCoordinateType of 3D - attribute <CommonZCoordinateValue> = <>"},
}


def test_dciodvfy_finds_no_error(written: Written) -> None:
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed (Debian: dicom3tools)")
    for name in OBJECTS:
        told = subprocess.run(["dciodvfy", f"{written.folder / name}.dcm"], capture_output=True, text=True, check=False)
        lines = (told.stdout + told.stderr).splitlines()
        assert any(line.startswith("Warning") for line in lines), "it ran"
        assert {line for line in lines if "Error" in line} <= EXPLAINED.get(name, set()), name


def test_page_and_command_line_offer_them_for_dicom_alone(
    cmu_dicom: Path, phantom_slide: Path, phantom_score: SlideScore, bundle: Bundle, bundle_root: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    options = ["--bundle", str(bundle_root), "--device", "cpu", "--out", str(tmp_path), "--export", "dicom", "csv"]
    assert main(["slide", str(cmu_dicom), *options]) == 0
    with zipfile.ZipFile(next(tmp_path.glob("*-dicom.zip"))) as archive:
        # No tile of this slide is recognised, so none is called cancerous.
        assert archive.namelist() == ["parametric-map.dcm", "segmentation.dcm", "report.dcm"]
        slide, *kinds = told(pydicom.dcmread(archive.open("report.dcm")))
    assert slide["Answer"] == "No answer: not tissue the model knows"
    assert not any("hare" in name for name in slide), "no share without an answer"
    assert [kind["Tracking Identifier"] for kind in kinds] == ["unrecognised", "unread"], "and no area of a class"
    capsys.readouterr()
    assert main(["slide", str(phantom_slide), *options]) == 1
    said = capsys.readouterr()
    assert "DICOM objects (ZIP): not for this slide" in said.err
    assert "this is a TIFF file; convert it to DICOM first" in said.err
    assert "Traceback" not in said.err
    assert {path.name for path in tmp_path.glob("phantom-*")} == {"phantom-tiles.csv", "phantom-summary.json"}

    def page(slide: object, score: object, bundle: object) -> None:
        from pages.parts.slide.exports import show_exports

        show_exports(slide, score, bundle)

    plain = open_slide(phantom_slide)
    app = AppTest.from_function(page, args=(plain, phantom_score, bundle), default_timeout=TIMEOUT_S).run()
    button = next(button for button in app.get("download_button") if button.label == "DICOM objects (ZIP)")
    assert button.proto.disabled
    assert button.proto.help == why_no_objects(plain) != ""


@pytest.mark.parametrize("written", [as_it_is], ids=["as_it_is"], indirect=True)
def test_a_header_that_cannot_be_referred_to_is_one_sentence_without_the_patient(
    written: Written, bundle: Bundle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    session, series = bundle.session_of("tile"), written.slide.path.parent

    def refused(change: Change, name: str) -> str:
        slide = replace(written.slide, path=rewritten(series, tmp_path / name, change))
        with pytest.raises(SlideNotSuitable) as caught:
            write_objects(written.score, slide, session, tmp_path / "out")
        return str(caught.value)

    def without(keyword: str) -> Change:
        return lambda instance, _: delattr(instance, keyword)

    assert "found no FrameOfReferenceUID" in refused(without("FrameOfReferenceUID"), "a")
    assert "found no ImageOrientationSlide" in refused(without("ImageOrientationSlide"), "b")

    def bad_name(instance: Dataset, number: int) -> None:
        del number
        instance.PatientSex = PATIENT["PatientName"]

    said = refused(bad_name, "c")
    assert said.startswith("The header of the DICOM series cannot be referred to")
    assert not any(word in said + caplog.text for word in TELLING)
    assert not any((tmp_path / "out").glob("*.dcm")), "whole or not there"
    deep = rewritten(series, tmp_path / "e", lambda *_: None)
    for file in deep.parent.iterdir():
        start, content = b"\x08\x00\x80\x00LO", file.read_bytes()
        nested = b"\x09\x00\x01\x10SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * 900
        file.write_bytes(content.replace(start, nested + b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0" * 900 + start, 1))
    with pytest.raises(SlideNotSuitable, match="found RecursionError"):
        write_objects(written.score, replace(written.slide, path=deep), session, tmp_path / "out")
    with pytest.raises(SlideNotSuitable, match="No instance of the DICOM series is level 0"):
        write_objects(
            written.score, replace(written.slide, path=rewritten(series, tmp_path / "d", _no_tissue)), session, tmp_path
        )


def _no_tissue(instance: Dataset, number: int) -> None:
    instance.ImageType = ["DERIVED", "PRIMARY", "LABEL" if number == 0 else "VOLUME", "NONE"]


@pytest.mark.parametrize("written", [as_it_is], ids=["as_it_is"], indirect=True)
def test_what_is_empty_or_in_another_alphabet_is_filed_all_the_same(
    written: Written, bundle: Bundle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def elsewhere(instance: Dataset, number: int) -> None:
        del number
        instance.SpecificCharacterSet = "ISO_IR 100"
        instance.PatientName = "Müller^Jürgen^Ærøskøbing^^^^too=many=parts=of=it"
        for keyword in ("AccessionNumber", "StudyID", "PatientSex", "SpecimenDescriptionSequence", "ContainerIdentifier"):
            if keyword in instance:
                delattr(instance, keyword)

    slide = replace(written.slide, path=rewritten(written.slide.path.parent, tmp_path / "series", elsewhere))
    for path in write_objects(written.score, slide, bundle.session_of("tile"), tmp_path):
        made = pydicom.dcmread(path)
        assert str(made.PatientName).startswith("Müller^Jürgen^Ærøskøbing")
        assert made.SpecificCharacterSet == "ISO_IR 192"
        assert not made.AccessionNumber
    assert "Müller" not in caplog.text


@pytest.mark.parametrize("written", [as_it_is], ids=["as_it_is"], indirect=True)
def test_classes_of_any_bundle_and_a_long_title_are_told(written: Written, four_class_bundle: Bundle, tmp_path: Path) -> None:
    session = four_class_bundle.session_of("tile")
    session = replace(session, model=session.model.model_copy(update={"title": "A model \\ of long name " * 8}))
    write_objects(
        with_answers(score_slide(written.slide, four_class_bundle), four_class_bundle), written.slide, session, tmp_path
    )
    segments = pydicom.dcmread(tmp_path / "segmentation.dcm").SegmentSequence
    types = [segment.SegmentedPropertyTypeCodeSequence[0] for segment in segments]
    ids = [item.get("CodeValue") or item.LongCodeValue for item in types]
    assert ids == session.model.class_ids, "an id may be longer than a short code"
    assert {item.CodingSchemeDesignator for item in types} == {"99CERVIX"}, "no title is that of a morphology"
    assert [item.CodeMeaning for item in types] == list(session.model.class_titles.values())
    categories = [segment.SegmentedPropertyCategoryCodeSequence[0].CodeValue for segment in segments]
    assert categories == ["85756007", "85756007", "49755003", "49755003"]
    name = segments[0].SegmentationAlgorithmIdentificationSequence[0].AlgorithmName
    assert len(name) == 64
    assert name.startswith("A model / of")
