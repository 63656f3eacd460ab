"""Readers' labels of a DICOM slide go out as bulk annotations that lie on its own files."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from highdicom.ann import annread

from cervix import RESEARCH_NOTICE
from cervix.cli import main
from cervix.errors import LabelRefused
from cervix.intake.shelf import remember
from cervix.labels import LabelStore, open_store, tile_case
from cervix.labels.files.annotations import why_no_annotations
from cervix.labels.files.moving import export_labels
from cervix.settings import get_settings
from cervix.sources.opening import open_slide
from cervix.sources.plane import FilePlane
from cervix.sources.slide import Slide
from tests.labels.making import CLASSES, WORDS, label

CORNERS = [(0, 0), (224, 0), (1996, 2743)]


@pytest.fixture
def opened(cmu_dicom: Path, home: Path) -> Slide:
    slide = open_slide(next(cmu_dicom.iterdir()))
    assert get_settings().shelf_dir.is_relative_to(home)
    remember(get_settings().shelf_dir, slide, slide.overview(16)[0])
    return slide


def told(slide: Slide, url: str, plane: FilePlane | None = None) -> LabelStore:
    store = open_store(url)
    store.declare_classes("tile", CLASSES)
    pixels = np.zeros((224, 224, 3), np.uint8)
    store.add_cases([tile_case(slide.sha256, x, y, 224, 0.5, pixels, plane or slide.plane) for x, y in CORNERS])
    for case, said in zip(store.cases("tile")["case_id"], ("scc", "benign", "unsure"), strict=True):
        label(store, case, "A", said)
    return store


def test_what_a_reader_said_lies_on_the_slides_own_pixels(opened: Slide, tmp_path: Path) -> None:
    path, shelf = tmp_path / "labels.dcm", get_settings().shelf_dir
    with told(opened, f"sqlite:///{tmp_path / 'labels.sqlite'}") as store:
        assert why_no_annotations(shelf, opened.sha256) == ""
        assert export_labels(store, path, "me", classes=WORDS, slide_sha256=opened.sha256, shelf=shelf) == 2, "what counts"
        assert export_labels(store, path, "me", classes=WORDS, slide_sha256=opened.sha256, reader="A", shelf=shelf) == 3
        places, reads = store.cases("tile").set_index("case_id"), store.reads("tile")
        said = dict(zip(reads["case_id"], reads["label"].where(reads["action"] == "label", "unsure"), strict=True))
    groups = {group.label: group for group in annread(path).get_annotation_groups()}
    assert set(groups) == {"Squamous-cell carcinoma", "Benign", "Unsure"}
    assert groups["Squamous-cell carcinoma"].annotated_property_type.value == "1162767002"
    for case, word in said.items():
        group = groups[{"scc": "Squamous-cell carcinoma", "benign": "Benign", "unsure": "Unsure"}[word]]
        (drawn,) = group.get_graphic_data("2D")
        x, y = places.loc[case, ["x_l0_px", "y_l0_px"]]
        np.testing.assert_array_equal(drawn, [[x, y], [x + 224, y], [x + 224, y + 224], [x, y + 224]])
        assert group.algorithm_type.value == "MANUAL"
        assert group.AnnotationGroupDescription == f"Labels of A. {RESEARCH_NOTICE}"
    made, source = pydicom.dcmread(path), pydicom.dcmread(opened.path, stop_before_pixels=True)
    assert made.StudyInstanceUID == source.StudyInstanceUID
    assert made.ReferencedSeriesSequence[0].SeriesInstanceUID == source.SeriesInstanceUID


def test_labels_lie_on_the_plane_that_they_were_gathered_with(opened: Slide, tmp_path: Path) -> None:
    plane = opened.plane.model_copy(update={"file_px_per_l0_px_x": 0.5})
    with told(opened, f"sqlite:///{tmp_path / 'labels.sqlite'}", plane) as store:
        export_labels(store, tmp_path / "l.dcm", "me", slide_sha256=opened.sha256, shelf=get_settings().shelf_dir)
    drawn = [group.get_graphic_data("2D")[0] for group in annread(tmp_path / "l.dcm").get_annotation_groups()]
    assert {float(np.ptp(corners[:, 0])) for corners in drawn} == {112.0}
    assert {float(np.ptp(corners[:, 1])) for corners in drawn} == {224.0}


def test_a_slide_that_is_gone_or_no_dicom_is_said(opened: Slide, phantom_slide: Path, tmp_path: Path) -> None:
    shelf = get_settings().shelf_dir
    plain = open_slide(phantom_slide)
    with told(opened, get_settings().label_store_url) as store:
        remember(shelf, replace(opened, path=tmp_path / "gone.dcm"), opened.overview(16)[0])
        assert "no longer here" in why_no_annotations(shelf, opened.sha256)
        with pytest.raises(LabelRefused, match="no longer here"):
            export_labels(store, tmp_path / "l.dcm", "me", slide_sha256=opened.sha256, shelf=shelf)
        remember(shelf, plain, plain.overview(16)[0])
        assert "this slide is none" in why_no_annotations(shelf, plain.sha256)
        assert "no longer here" in why_no_annotations(shelf, "e" * 64)
    remember(shelf, opened, opened.overview(16)[0])
    assert main(["labels", "export", str(tmp_path / "c.dcm"), "--slide", opened.sha256, "--reader", "A"]) == 0
    assert annread(tmp_path / "c.dcm").get_annotation_groups()
