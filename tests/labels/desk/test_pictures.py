"""A tile is shown within the tissue around it, where the slide is at hand and still the one that it was taken from."""

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cervix.errors import LabelRefused
from cervix.intake.shelf import remember
from cervix.labels.desk.pictures import CHANGED, FIELD_SHOWN_PX, NOT_HERE, TileViews, tile_views
from cervix.labels.gathering.women import visits_content, visits_frame
from cervix.labels.store.cases import Case, patient_case, tile_case
from cervix.patients.charts import timeline_figure
from cervix.patients.visit_sample import sample_visits_csv
from cervix.patients.visits import read_visits
from cervix.slides.phantom import PHANTOM_SPACING_UM_PX, phantom_region
from cervix.slides.pyramid import write_pyramid
from cervix.sources.opening import open_slide

SIDE = 448
"""Level-0 pixels of a tile of 224 at twice the spacing."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "slide.tiff"
    write_pyramid(path, phantom_region(3 * SIDE, 3 * SIDE, seed=4, tissue_share=1.0), PHANTOM_SPACING_UM_PX)
    return path


@pytest.fixture
def case(path: Path, tmp_path: Path) -> Case:
    """The tile in the middle of a slide that is on the shelf."""
    slide = open_slide(path)
    remember(tmp_path / "shelf", slide, slide.overview(8)[0])
    return tile_case(slide.sha256, SIDE, SIDE, SIDE, 1.0, slide.read_tile(SIDE, SIDE, 0, SIDE, 224))


def picture(jpeg: bytes) -> Image.Image:
    return Image.open(io.BytesIO(jpeg)).convert("RGB")


def test_the_tile_is_as_sharp_as_the_slide_and_outlined_in_fields_around_it(case: Case, tmp_path: Path) -> None:
    views = tile_views(case, tmp_path / "shelf")
    assert views.note == ""
    assert picture(views.tile).size == (SIDE, SIDE), "not the 224 px that the model saw"
    assert {width: picture(field).size for width, field in views.fields.items()} == dict.fromkeys(
        (3, 9), (FIELD_SHOWN_PX, FIELD_SHOWN_PX)
    )
    edge = np.asarray(picture(views.fields[3]), int)[FIELD_SHOWN_PX // 2, FIELD_SHOWN_PX // 3 - 4 : FIELD_SHOWN_PX // 3 + 4]
    assert (edge[:, 0] - edge[:, 2]).max() > 80, "an orange line where the tile begins"


def without_fields(views: TileViews) -> str:
    assert not views.fields
    assert picture(views.tile).size == (224, 224)
    return views.note


def test_without_the_slide_the_tile_alone_is_shown_and_why(case: Case, path: Path, tmp_path: Path) -> None:
    assert without_fields(tile_views(case, tmp_path / "another-shelf")) == NOT_HERE
    path.unlink()
    assert without_fields(tile_views(case, tmp_path / "shelf")) == NOT_HERE


def test_another_slide_under_the_same_name_is_not_shown(case: Case, path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.tiff"
    write_pyramid(other, np.full((3 * SIDE, 3 * SIDE, 3), 240, np.uint8), PHANTOM_SPACING_UM_PX)
    shutil.move(other, path)
    assert without_fields(tile_views(case, tmp_path / "shelf")) == CHANGED


def test_a_damaged_slide_is_a_sentence(case: Case, path: Path, tmp_path: Path) -> None:
    path.write_bytes(b"II*\0" + bytes(100))
    assert "expected" in without_fields(tile_views(case, tmp_path / "shelf"))


def test_a_womans_timeline_shows_her_results_by_age_and_no_risk() -> None:
    frame = read_visits(sample_visits_csv().encode()).frame
    visits = frame[frame["patient_id"] == "SAMPLE-006"]
    case = patient_case("c" * 64, "key", visits_content(visits))
    figure = timeline_figure(visits_frame([case.content]))
    marks = [code for trace in figure.data for code in trace.customdata]
    assert sorted(marks) == sorted(code for name in ("cytology", "hpv_result") for code in visits[name].dropna())
    shown = np.sort(np.concatenate([np.asarray(trace.x, float) for trace in figure.data]))
    assert visits["age"].min() - 1 <= shown[0]
    assert shown[-1] <= visits["age"].max() + 1
    assert "risk" not in figure.to_json().lower()


@pytest.mark.parametrize(("side", "found"), [(0, "no picture"), (1_025, "1,025 × 1,025 px"), (9_000, "9,000 × 9,000 px")])
def test_a_picture_that_is_too_large_is_refused_before_it_is_decoded(side: int, found: str) -> None:
    content = io.BytesIO()
    if side:
        Image.new("1", (side, side)).save(content, "PNG")
    damaged = Case("tile:x", "tile", "x", "x", content.getvalue() or b"no picture")
    with pytest.raises(LabelRefused, match=found if side else "The picture of a case is damaged"):
        _ = damaged.picture
