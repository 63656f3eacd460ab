"""What leaves the app opens elsewhere and carries where it comes from."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pypdf
import pytest
import tifffile
from streamlit.testing.v1 import AppTest

from cervix import RESEARCH_NOTICE
from cervix.bundle import Bundle
from cervix.bundle.sessions import ModelSession
from cervix.cli import main
from cervix.errors import SlideNotSuitable
from cervix.interop.exports import EXPORTS, Export, write_export
from cervix.slides.decision import class_areas_mm2, decide_tiles, hot_spots, tile_at, tiles_within
from cervix.slides.deepzoom import WorldMap, cam_mosaic
from cervix.slides.explanation import explain_tile, gallery
from cervix.slides.report import write_report
from cervix.slides.scoring import SlideScore
from cervix.sources.opening import open_slide
from cervix.sources.plane import FilePlane
from cervix.sources.slide import Slide
from tests.pages.opening import TIMEOUT_S


@pytest.fixture(scope="module")
def slide(phantom_slide: Path) -> Slide:
    return open_slide(phantom_slide)


@pytest.fixture(scope="module")
def score(phantom_score: SlideScore) -> SlideScore:
    return phantom_score


@pytest.fixture(scope="module")
def known(score: SlideScore) -> SlideScore:
    """The same, as if the model recognised every tile."""
    return replace(score, tiles=score.tiles.assign(novelty=np.float32(0.0)))


def test_geojson_holds_each_tile_as_qupath_reads_it(known: SlideScore, slide: Slide, bundle: Bundle, tmp_path: Path) -> None:
    path = write_export("geojson", known, slide, bundle.session_of("tile"), tmp_path, "slide")
    document = json.loads(path.read_text(encoding="utf-8"))
    assert document["type"] == "FeatureCollection"
    assert document["provenance"]["notice"] == RESEARCH_NOTICE
    assert document["provenance"]["bundle_sha256"] == bundle.sha256
    assert len(document["features"]) == len(known.tiles)
    first, row = document["features"][0], known.tiles.iloc[0]
    ring = first["geometry"]["coordinates"][0]
    assert ring[0] == ring[-1] == [row["x_l0_px"], row["y_l0_px"]]
    assert len({tuple(corner) for corner in ring}) == 4
    properties = first["properties"]
    assert properties["objectType"] == "tile"
    titles = bundle.session_of("tile").model.class_titles
    assert properties["classification"]["name"] in {*titles.values(), "Not recognised (no answer)"}
    assert len(properties["classification"]["color"]) == 3
    assert properties["measurements"]["P(Benign)"] == pytest.approx(row["p_benign"], abs=1e-5)
    assert properties["measurements"]["Novelty"] == pytest.approx(row["novelty"], abs=1e-3)


def test_the_heatmap_is_a_pyramid_with_a_channel_a_class_in_place(
    known: SlideScore, slide: Slide, bundle: Bundle, tmp_path: Path
) -> None:
    path = write_export("heatmap", known, slide, bundle.session_of("tile"), tmp_path, "slide")
    with tifffile.TiffFile(path) as opened:
        assert opened.is_ome
        planes = opened.asarray()
        described = opened.ome_metadata
    assert planes.shape[0] == 5
    assert RESEARCH_NOTICE in described
    assert 'PhysicalSizeX="112.0"' in described
    size = known.summary.size_l0_px
    for _, row in known.tiles.iterrows():
        place = -(-int(row["y_l0_px"]) // size), -(-int(row["x_l0_px"]) // size)
        assert planes[(0, *place)] == pytest.approx(row["p_benign"])
        assert planes[(4, *place)] == pytest.approx(row["novelty"])
    assert np.isnan(planes).sum() == 5 * (planes[0].size - len(known.tiles))


def test_a_large_heatmap_has_coarser_levels(score: SlideScore, slide: Slide, bundle: Bundle, tmp_path: Path) -> None:
    side = 300
    x, y = np.meshgrid(np.arange(side) * 224, np.arange(side) * 224)
    tiles = pd.DataFrame({"x_l0_px": x.ravel(), "y_l0_px": y.ravel(), "size_l0_px": 224, "tissue_fraction": 1.0})
    for name in ("p_benign", "p_scc", "p_ac", "p_other", "novelty"):
        tiles[name] = np.random.default_rng(0).random(len(tiles)).astype(np.float32)
    plane = FilePlane(bounds_x_px=0, bounds_y_px=0, bounds_width_px=side * 224, bounds_height_px=side * 224)
    large = SlideScore(tiles, score.summary.model_copy(update={"plane": plane}), score.rows)
    path = write_export("heatmap", large, slide, bundle.session_of("tile"), tmp_path, "slide")
    with tifffile.TiffFile(path) as opened:
        levels = opened.series[0].levels
        assert [level.shape[1:] for level in levels] == [(300, 300), (150, 150)]
        assert levels[1].asarray()[0, 0, 0] == pytest.approx(opened.asarray()[0, :2, :2].mean(), rel=1e-5)


def test_tables_are_the_same_in_both_formats(known: SlideScore, slide: Slide, bundle: Bundle, tmp_path: Path) -> None:
    session = bundle.session_of("tile")
    csv = pd.read_csv(write_export("csv", known, slide, session, tmp_path, "slide"))
    parquet = pd.read_parquet(write_export("parquet", known, slide, session, tmp_path, "slide"))
    assert list(csv.columns) == list(parquet.columns)
    assert set(parquet["notice"]) == {RESEARCH_NOTICE}
    assert csv["p_scc"].to_numpy() == pytest.approx(parquet["p_scc"].to_numpy(), abs=1e-6)


def test_the_report_is_a_pdf_with_answer_notice_and_hash(
    score: SlideScore, slide: Slide, bundle: Bundle, tmp_path: Path
) -> None:
    write_report(score, slide, bundle.session_of("tile"), tmp_path / "report.pdf")
    content = (tmp_path / "report.pdf").read_bytes()
    assert content.startswith(b"%PDF")
    assert len(content) > 20_000
    text = "\n".join(page.extract_text() for page in pypdf.PdfReader(tmp_path / "report.pdf").pages)
    assert score.summary.answer.headline in text
    assert "Organs seen in training: lung, colon, rectum. Cervix is not among them." in text
    assert RESEARCH_NOTICE in text
    assert bundle.sha256 in text
    assert slide.sha256 in text


def test_an_export_there_is_not_is_said(score: SlideScore, slide: Slide, bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(SlideNotSuitable, match="no such export"):
        write_export("docx", score, slide, bundle.session_of("tile"), tmp_path, "slide")


def test_a_region_answers_by_the_rule_of_the_whole(score: SlideScore, bundle: Bundle) -> None:
    model = bundle.session_of("tile").model
    everything = tiles_within(score.tiles, [(-10, -10), (5000, -10), (5000, 5000), (-10, 5000)])
    assert decide_tiles(everything, model) == score.summary.answer
    left = tiles_within(score.tiles, [(-10, -10), (700, -10), (700, 5000), (-10, 5000)])
    assert 0 < len(left) < len(score.tiles)
    assert (left["x_l0_px"] + 112 < 700).all()
    assert tiles_within(score.tiles, [(9000, 9000), (9001, 9000), (9001, 9001)]).empty


def test_areas_add_up_to_the_tissue_of_the_tiles(score: SlideScore, bundle: Bundle) -> None:
    areas = class_areas_mm2(score.tiles, bundle.session_of("tile").model, 0.5)
    expected = (score.tiles["tissue_fraction"] * (224 * 0.5 / 1000) ** 2).sum()
    assert sum(areas.values()) == pytest.approx(expected)
    assert areas["unrecognised"] == pytest.approx(expected), "the model knows no tile of a phantom"


def test_hot_spots_are_strong_places_apart_from_each_other(score: SlideScore, bundle: Bundle) -> None:
    model = bundle.session_of("tile").model
    tiles = score.tiles.assign(novelty=0.0, p_benign=1.0, p_scc=0.0, p_ac=0.0, p_other=0.0)
    strongest = tiles.index[[3, 4, 15]]
    tiles.loc[strongest, ["p_benign", "p_scc"]] = [0.1, 0.9]
    spots = hot_spots(tiles, model)
    assert 1 <= len(spots) <= 3
    centres = {(int(tiles.loc[i, "x_l0_px"]) + 112, int(tiles.loc[i, "y_l0_px"]) + 112) for i in strongest}
    assert set(spots) <= centres
    for index, (x, y) in enumerate(spots):
        assert all(max(abs(x - a), abs(y - b)) > 2 * 224 for a, b in spots[:index])
    assert hot_spots(tiles.assign(novelty=1e9), model) == []
    assert hot_spots(tiles.assign(p_scc=0.0), model) == []


def test_a_point_finds_the_tile_that_holds_it(score: SlideScore) -> None:
    row = score.tiles.iloc[0]
    corner = int(row["x_l0_px"]), int(row["y_l0_px"])
    assert tile_at(score.tiles, corner[0] + 200.7, corner[1] + 3.2) == corner
    assert tile_at(score.tiles, -50, -50) is None


def test_where_tiles_share_a_point_the_nearest_centre_counts() -> None:
    tiles = pd.DataFrame({"x_l0_px": [0, 112], "y_l0_px": [0, 0], "size_l0_px": 224})
    assert [tile_at(tiles, x, 100) for x in (0, 160, 224, 335, 337)] == [(0, 0), (0, 0), (112, 0), (112, 0), None]


def test_the_mosaic_shows_the_cam_of_each_tile_in_its_place(score: SlideScore, slide: Slide, bundle: Bundle) -> None:
    session = bundle.session_of("tile")
    mosaic = cam_mosaic(score.tiles, score.rows, 1, "#D55E00")
    within = (score.tiles["x_l0_px"] % 224 == 0) & (score.tiles["y_l0_px"] % 224 == 0)
    index = int(np.where(within, score.rows["cam_peak"][:, 1], 0).argmax())
    x, y = score.tiles[["x_l0_px", "y_l0_px"]].iloc[index]
    cell = mosaic.opacity[y // 224 * 14 : y // 224 * 14 + 14, x // 224 * 14 : x // 224 * 14 + 14].astype(float)
    cam = explain_tile(slide, score.summary, x, y, session).cam["scc"]
    assert np.corrcoef(cell.ravel(), cam.ravel())[0, 1] > 0.98
    world = WorldMap(slide.width_l0_px, slide.height_l0_px)
    assert mosaic.render_tile(world, world.max_zoom, 2 ** (world.max_zoom - 1), 2 ** (world.max_zoom - 1))[:4] == b"\x89PNG"
    assert mosaic.render_tile(world, 0, 0, 0)[:4] == b"\x89PNG"


def test_of_a_tile_moved_in_the_mosaic_shows_what_no_other_holds(score: SlideScore) -> None:
    tiles = pd.DataFrame({"x_l0_px": [0, 112], "y_l0_px": [0, 0], "size_l0_px": 224})
    rows = np.zeros(2, score.rows.dtype)
    rows["cam_peak"] = 1.0
    rows["cam"][1] = np.arange(14)[None, None, :] * 10
    mosaic = cam_mosaic(tiles, rows, 1, "#D55E00")
    right = mosaic.opacity[:, 14:]
    assert (right[:, :7] == np.array([70, 80, 90, 100, 110, 120, 130]) * 215 // 255).all()
    assert not right[:, 7:].any()
    assert mosaic.lattice.width_l0_px == 336


def test_the_gallery_shows_certain_before_doubtful_tiles_of_the_class(
    score: SlideScore, known: SlideScore, slide: Slide, bundle: Bundle
) -> None:
    model = bundle.session_of("tile").model
    for label in model.class_ids:
        certain, doubtful = gallery(slide, known, model, label, count=3)
        for tile in [*certain, *doubtful]:
            row = score.tiles.iloc[tile.row]
            assert row[f"p_{label}"] == row[[f"p_{name}" for name in model.class_ids]].max() == pytest.approx(tile.probability)
        if certain and doubtful:
            assert certain[0].probability >= doubtful[0].probability
            assert not {tile.row for tile in certain[:1]} & {tile.row for tile in doubtful[:1]}
    assert gallery(slide, score, model, "scc") == ([], [])


def test_a_kind_more_is_one_entry(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], slide: Slide, score: SlideScore, bundle: Bundle,
    tmp_path: Path,
) -> None:  # fmt: skip
    def answer(score: SlideScore, slide: Slide, session: ModelSession, path: Path) -> None:
        path.write_text(f"{slide.sha256} {session.model.id} {score.summary.answer.headline}", encoding="utf-8")

    monkeypatch.setitem(EXPORTS, "answer", Export("The answer (text)", "answer.txt", "text/plain", "people", answer))
    assert write_export("answer", score, slide, bundle.session_of("tile"), tmp_path, "s").name == "s-answer.txt"
    with pytest.raises(SystemExit):
        main(["slide", "--help"])
    assert "answer: The answer (text)" in " ".join(capsys.readouterr().out.split())

    def page(slide: object, score: object, bundle: object) -> None:
        from pages.parts.slide.exports import show_exports

        show_exports(slide, score, bundle)

    app = AppTest.from_function(page, args=(slide, score, bundle), default_timeout=TIMEOUT_S).run()
    assert not app.exception
    titles = [button.label for button in app.get("download_button")]
    assert sorted(titles) == sorted(export.title for export in EXPORTS.values())
    assert titles.index("The answer (text)") < titles.index("Tile table (CSV)")
