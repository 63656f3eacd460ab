"""Refused means silent: what the model does not recognise has no percentage anywhere, and every place agrees on it."""

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pypdf
import pytest
import tifffile
from PIL import Image

from cervix.bundle import Bundle
from cervix.interop.exports import write_export
from cervix.labels.desk.ranking import Opinion
from cervix.patients.joint import joint_risk
from cervix.patients.visits import read_visits
from cervix.slides.charts import probability_histogram
from cervix.slides.decision import answered_tiles, class_areas_mm2, decide_tiles, hot_spots
from cervix.slides.deepzoom import WorldMap
from cervix.slides.embedding import telling_embeddings
from cervix.slides.explanation import explain_tile, gallery, most_suspicious
from cervix.slides.exports import tile_table
from cervix.slides.layers import CAM_PREFIX, UNRECOGNISED_LAYER, cam_layers, score_layers
from cervix.slides.phantom import phantom_region
from cervix.slides.pyramid import write_pyramid
from cervix.slides.report import write_report
from cervix.slides.scoring import SlideScore, score_slide
from cervix.sources.opening import open_slide
from cervix.sources.slide import Slide

# Places, in tiles, where something that the model does not know lies on the carcinoma.
UNKNOWN = {(0, 0), (2, 1), (3, 3)}
PROBABILITIES = ["p_benign", "p_scc", "p_ac", "p_other"]


@pytest.fixture(scope="module")
def slide(carcinoma_slide: Path, tmp_path_factory: pytest.TempPathFactory) -> Slide:
    pixels = np.array(open_slide(carcinoma_slide).read(0, 0, 0, 896, 896))
    strange = phantom_region(224, 224, seed=8)
    for column, row in UNKNOWN:
        pixels[row * 224 : row * 224 + 224, column * 224 : column * 224 + 224] = strange
    path = tmp_path_factory.mktemp("mixed") / "mixed.tiff"
    write_pyramid(path, pixels, 0.5)
    return open_slide(path)


@pytest.fixture(scope="module")
def score(slide: Slide, bundle: Bundle) -> SlideScore:
    """Answered, with some tiles that are not recognised."""
    return score_slide(slide, bundle)


@pytest.fixture(scope="module")
def refused(score: SlideScore, bundle: Bundle) -> SlideScore:
    """The same slide with so few tiles scored that there is no answer, most of them recognised."""
    tiles = score.tiles.iloc[:7]
    answer = decide_tiles(tiles, bundle.session_of("tile").model)
    assert answer.abstained
    return SlideScore(tiles, score.summary.model_copy(update={"answer": answer}), score.rows[:7])


def places(tiles: pd.DataFrame) -> list[tuple[int, int]]:
    return [(int(x) // 224, int(y) // 224) for x, y in tiles[["x_l0_px", "y_l0_px"]].to_numpy()]


def pdf_text(score: SlideScore, slide: Slide, bundle: Bundle, path: Path) -> str:
    write_report(score, slide, bundle.session_of("tile"), path)
    return " ".join(" ".join(page.extract_text() for page in pypdf.PdfReader(path).pages).split())


def test_every_place_agrees_on_which_tiles_have_no_answer(
    score: SlideScore, slide: Slide, bundle: Bundle, tmp_path: Path
) -> None:
    session = bundle.session_of("tile")
    model, tiles = session.model, score.tiles
    silent = {place for place, heard in zip(places(tiles), answered_tiles(tiles, model), strict=True) if not heard}
    assert silent >= UNKNOWN
    answer = score.summary.answer
    assert not answer.abstained
    assert answer.unrecognised_tiles == len(silent)
    assert f"{len(silent) / 16:.0%}".replace("%", " %") + " of tiles not recognised" in answer.sentence

    layers = score_layers(tiles, model, "1") | cam_layers(score, model, "1")
    for column, row in places(tiles):
        unknown = (column, row) in silent
        assert (layers[UNRECOGNISED_LAYER].opacity[row, column] > 0) == unknown
        for label in model.class_ids:
            assert layers[label].under is not None
            assert (layers[label].under.opacity[row, column] > 0) == unknown
            if unknown:
                assert layers[label].opacity[row, column] == 0
                assert not layers[CAM_PREFIX + label].opacity[row * 14 : row * 14 + 14, column * 14 : column * 14 + 14].any()

    unknown_rows = [place in silent for place in places(tiles)]
    areas = class_areas_mm2(tiles, model, 0.5)
    assert areas["unrecognised"] == pytest.approx(tiles["tissue_fraction"][unknown_rows].sum() * 0.112**2)
    spots = hot_spots(tiles, model)
    assert spots
    assert not {(x // 224, y // 224) for x, y in spots} & silent
    assert not {places(tiles)[row] for row in most_suspicious(tiles, model, 50)} & silent
    for label in model.class_ids:
        for side in gallery(slide, score, model, label):
            assert not {places(tiles)[tile.row] for tile in side} & silent
    assert probability_histogram(tiles, model).data[0].y.sum() == 16 - len(silent)

    for kind, read in (("csv", pd.read_csv), ("parquet", pd.read_parquet)):
        table = read(write_export(kind, score, slide, bundle.session("slide"), tmp_path, "s"))
        assert {place for place, known in zip(places(table), table["recognised"], strict=True) if not known} == silent
        assert (table[PROBABILITIES].isna().all(axis=1) == ~table["recognised"]).all()
        assert table["novelty"].notna().all()
    features = json.loads(
        write_export("geojson", score, slide, bundle.session("slide"), tmp_path, "s").read_text(encoding="utf-8")
    )["features"]
    for place, feature in zip(places(tiles), features, strict=True):
        told = feature["properties"]
        assert (told["classification"]["name"] == "Not recognised (no answer)") == (place in silent)
        assert any(name.startswith("P(") for name in told["measurements"]) == (place not in silent)
    with tifffile.TiffFile(write_export("heatmap", score, slide, bundle.session("slide"), tmp_path, "s")) as heat:
        planes = heat.asarray()
    assert {(int(column), int(row)) for row, column in np.argwhere(np.isnan(planes[:3]).all(axis=0))} == silent

    said = pdf_text(score, slide, bundle, tmp_path / "report.pdf")
    assert answer.reason in said
    assert f"{len(silent)} not recognised and left out" in said
    for column, row in silent:
        assert f"at x {column * 224:,}, y {row * 224:,}" not in said

    for place, row in zip(places(tiles), tiles.to_dict("records"), strict=True):
        opinion = Opinion({label: row[f"p_{label}"] for label in model.class_ids}, row["novelty"])
        assert opinion.answered_by(model) == (place not in silent)
    x, y = (224 * side for side in next(iter(UNKNOWN)))
    assert not explain_tile(slide, score.summary, x, y, session).recognised
    assert len(telling_embeddings(slide, score, session)) == min(12, 16 - len(silent))


def test_a_slide_without_an_answer_shows_no_percentage_of_any_tile(
    refused: SlideScore, slide: Slide, bundle: Bundle, tmp_path: Path
) -> None:
    session = bundle.session_of("tile")
    model = session.model
    assert refused.summary.answer.cancerous_share is None
    layers = score_layers(refused.tiles, model, "1") | cam_layers(refused, model, "1")
    for label in model.class_ids:
        assert not layers[label].opacity.any()
        assert layers[label].under is not None
        assert layers[label].under.opacity.any()
        assert len(set(layers[CAM_PREFIX + label].colour)) == 1, "grey"
    assert hot_spots(refused.tiles, model) == []
    assert not len(most_suspicious(refused.tiles, model, 50))
    assert gallery(slide, refused, model, "scc") == ([], [])
    assert not probability_histogram(refused.tiles, model).data[0].y.any()
    said = pdf_text(refused, slide, bundle, tmp_path / "report.pdf")
    assert "so no tile is shown" in said
    assert "Squamous-cell carcinoma 9" not in said
    assert "95 % interval" not in said.split("The rule")[0]
    assert set(tile_table(refused, model)["answer"]) == {"No answer: too little tissue"}

    embeddings = telling_embeddings(slide, refused, session)
    assert not len(embeddings)
    visits = read_visits(b"patient_id,visit_date,age,cytology,hpv_result\nA,2018-01-01,34,HSIL,positive\n").frame
    risk = joint_risk(visits, embeddings, bundle.session("hybrid"))
    assert np.isnan([risk.joint, risk.slide]).all()
    assert 0 < risk.history < 1


def test_an_opinion_without_a_novelty_is_none_on_a_tile_and_stands_for_a_woman(bundle: Bundle) -> None:
    said = {"benign": 0.01, "scc": 0.98, "ac": 0.01, "other": 0.0}
    assert not Opinion(said).answered_by(bundle.manifest.model("slide"))
    history = bundle.manifest.model("history")
    assert Opinion(dict.fromkeys(history.class_ids, 0.1)).answered_by(history)


def test_a_tile_that_is_grey_is_drawn_grey(refused: SlideScore, slide: Slide, bundle: Bundle) -> None:
    layer = score_layers(refused.tiles, bundle.session_of("tile").model, "1")["scc"]
    world = WorldMap(slide.width_l0_px, slide.height_l0_px)
    left, top = world.origin_px
    column, row = places(refused.tiles)[0]
    x, y = column * 224 + 112 + left, row * 224 + 112 + top
    with Image.open(io.BytesIO(layer.render_tile(world, world.max_zoom, x // 256, y // 256))) as drawn:
        red, green, blue, alpha = drawn.convert("RGBA").getpixel((x % 256, y % 256))
    assert red == green == blue
    assert alpha > 0
    assert replace(layer, under=None).render_tile(world, world.max_zoom, x // 256, y // 256)
