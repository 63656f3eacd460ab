"""Labels of a slide of which a part was scanned, or whose pixels are not square, go to QuPath and come back to their tiles."""

import json
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import text

from cervix.labels import LabelStore, open_store, tile_case
from cervix.labels.files.qupath import read_qupath, write_qupath
from cervix.sources.plane import FilePlane
from tests.labels.making import CLASSES, TILES, WORDS, filled, label

SLIDE = "d" * 64
BOUNDS = {"bounds_x_px": 512, "bounds_y_px": 300, "bounds_width_px": 2048, "bounds_height_px": 2048}
PLANES = {
    "bounds": FilePlane(**BOUNDS),
    "stretched": FilePlane(**BOUNDS, file_px_per_l0_px_x=0.5),
    "odd ratio": FilePlane(**BOUNDS, file_px_per_l0_px_y=0.7331),
}
CORNERS = [(1024, 448), (1472, 448), (1248, 901)]


def gathered(tmp_path: Path, plane: FilePlane | None, name: str = "labels") -> LabelStore:
    store = open_store(f"sqlite:///{tmp_path / name}.sqlite")
    store.declare_classes("tile", CLASSES)
    pixels = np.zeros((224, 224, 3), np.uint8)
    store.add_cases([tile_case(SLIDE, x, y, 448, 0.5, pixels, plane) for x, y in CORNERS])
    return store


@pytest.mark.parametrize("name", PLANES)
@pytest.mark.parametrize("through_qupath", [False, True])
def test_squares_lie_in_qupath_s_pixels_and_come_back(tmp_path: Path, name: str, through_qupath: bool) -> None:
    plane, path = PLANES[name], tmp_path / "labels.geojson"
    with gathered(tmp_path, plane) as store:
        ids = list(store.cases("tile")["case_id"])
        for case in ids:
            label(store, case, "A", "scc")
        assert write_qupath(store, SLIDE, path) == 3
    document = json.loads(path.read_text(encoding="utf-8"))
    corners = sorted(feature["geometry"]["coordinates"][0][0] for feature in document["features"])
    assert corners == sorted([pytest.approx(plane.to_qupath_px(x, y), abs=0.01) for x, y in CORNERS], key=lambda a: a.expected)
    if through_qupath:  # which keeps the objects and nothing else
        path.write_text(json.dumps(document["features"]), encoding="utf-8")
    with gathered(tmp_path, plane, "other") as other:
        report = read_qupath(other, path, "B", slide_sha256=SLIDE)
        assert (report.added, report.problems) == (3, [])
        assert sorted(other.reads()["case_id"]) == sorted(ids)


def test_a_square_drawn_in_qupath_meets_the_tile_under_it(tmp_path: Path) -> None:
    ring = [[512, 148], [960, 148], [960, 596], [512, 596], [512, 148]]
    drawn = {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"classification": {"name": "Adenocarcinoma"}},
    }
    (tmp_path / "drawn.geojson").write_text(json.dumps([drawn]), encoding="utf-8")
    with gathered(tmp_path, PLANES["bounds"]) as store:
        assert read_qupath(store, tmp_path / "drawn.geojson", "A", classes=WORDS, slide_sha256=SLIDE).added == 1
        assert store.reads()["case_id"].tolist() == [f"tile:{SLIDE}:1024:448:448"]


def test_a_file_of_0_1_0_names_no_plane_and_is_in_level_0(tmp_path: Path) -> None:
    path = tmp_path / "old.geojson"
    with gathered(tmp_path, None) as old:
        label(old, f"tile:{SLIDE}:1024:448:448", "A", "scc")
        write_qupath(old, SLIDE, path)
    document = json.loads(path.read_text(encoding="utf-8"))
    del document["provenance"]["plane"]
    path.write_text(json.dumps(document), encoding="utf-8")
    with gathered(tmp_path, PLANES["bounds"], "new") as store:
        assert read_qupath(store, path, "B").added == 1


def test_a_store_of_0_1_0_keeps_its_labels_and_learns_planes(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'labels.sqlite'}"
    with filled(open_store(url)) as store:
        label(store, TILES[0], "A", "scc")
        with store.database.engine.begin() as connection:
            connection.execute(text("ALTER TABLE cases DROP COLUMN file_plane"))
            connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    with open_store(url) as store:
        assert store.truths()["label"].tolist() == ["scc"]
        assert store.case(TILES[0]).file_plane is None
        store.add_cases([tile_case(SLIDE, 0, 0, 448, 0.5, np.zeros((224, 224, 3), np.uint8), PLANES["bounds"])])
        assert store.case(f"tile:{SLIDE}:0:0:448").file_plane == PLANES["bounds"].model_dump()
