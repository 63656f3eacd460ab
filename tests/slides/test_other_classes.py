"""A bundle with four other classes does all that the shipped one does: nothing of the library knows a class by name."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pypdf
import pytest
import tifffile
from PIL import Image

from cervix.bundle import Bundle, Model, load_bundle, verify_bundle
from cervix.card.formats import FORMATS, card_file
from cervix.card.markdown import model_card
from cervix.cli import main
from cervix.evaluation.heldout import held_out
from cervix.evaluation.labelled_tiles import labelled_tiles
from cervix.interop.exports import EXPORTS, write_export
from cervix.labels import LabelEvent, open_store
from cervix.labels.files.qupath import read_qupath, write_qupath
from cervix.labels.gathering.tiles import gather_tiles, keep_cases
from cervix.labels.store.cases import scorer_of
from cervix.labels.store.events import new_key
from cervix.slides.decision import class_areas_mm2, decide_tiles, hot_spots, most_probable
from cervix.slides.explanation import cancer_probability, explain_tile, gallery, most_suspicious
from cervix.slides.layers import CAM_PREFIX, CLASS_MAP, UNRECOGNISED_LAYER, cam_layers, score_layers
from cervix.slides.report import write_report
from cervix.slides.scoring import SlideScore, score_slide
from cervix.sources.opening import open_slide
from cervix.sources.slide import Slide
from tests.bundle.made import FOUR, MODEL_ID, class_of, write_tile_bundle
from tests.bundle.made.tiles import BAND_TILES, TILE_PX

IDS = [item.id for item in FOUR]
TITLES = [item.title for item in FOUR]
EACH = BAND_TILES[0] * BAND_TILES[1]
BAND_PX = BAND_TILES[0] * TILE_PX


@pytest.fixture(scope="module")
def slide(four_class_slide: Path) -> Slide:
    return open_slide(four_class_slide)


@pytest.fixture(scope="module")
def score(slide: Slide, four_class_bundle: Bundle) -> SlideScore:
    return score_slide(slide, four_class_bundle)


@pytest.fixture(scope="module")
def model(four_class_bundle: Bundle) -> Model:
    return four_class_bundle.session_of("tile").model


def rgb(colour: str) -> tuple[int, int, int]:
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return red, green, blue


def test_it_proves_itself(four_class_root: Path, four_class_bundle: Bundle) -> None:
    assert all(check.passed for check in verify_bundle(four_class_root, device="cpu"))
    assert list(four_class_bundle.sessions) == [MODEL_ID]


def test_every_tile_has_the_class_of_its_band(score: SlideScore, model: Model) -> None:
    expected = score.tiles["x_l0_px"].to_numpy() // BAND_PX
    assert most_probable(score.tiles, model).tolist() == expected.tolist()
    assert score.summary.answer.class_tiles == dict.fromkeys(IDS, EACH)


def test_malignant_classes_alone_make_a_tile_cancerous(score: SlideScore, model: Model) -> None:
    answer = score.summary.answer
    assert (answer.verdict, answer.cancerous_tiles, answer.accepted_tiles) == ("cancer", 2 * EACH, 4 * EACH)
    assert answer.headline in TITLES[2:]
    bands = score.tiles["x_l0_px"] // BAND_PX
    assert decide_tiles(score.tiles[bands < 2], model).verdict == "no-cancer", "dysplasia is not called cancer"
    assert decide_tiles(score.tiles[bands == 3], model).headline == TITLES[3]
    assert "look most like AIS or invasive gland carcinoma" in decide_tiles(score.tiles[bands == 3], model).reason
    assert "look most like invasive squamous carcinoma" in decide_tiles(score.tiles[bands == 2], model).reason
    np.testing.assert_allclose(cancer_probability(score.tiles, model), score.tiles[[f"p_{IDS[2]}", f"p_{IDS[3]}"]].sum(axis=1))
    assert (score.tiles["x_l0_px"].iloc[most_suspicious(score.tiles, model, 2 * EACH)] >= 2 * BAND_PX).all()
    assert hot_spots(score.tiles, model)
    assert all(x >= 2 * BAND_PX for x, _ in hot_spots(score.tiles, model))


def test_areas_are_named_by_its_classes(score: SlideScore, model: Model) -> None:
    areas = class_areas_mm2(score.tiles, model, 0.5)
    assert list(areas) == [*IDS, "unrecognised", "unread"]
    assert min(areas[label] for label in IDS) > 0


def test_layers_of_the_map_have_its_colours(score: SlideScore, model: Model) -> None:
    layers, cams = score_layers(score.tiles, model, "1"), cam_layers(score, model, "1")
    assert list(layers) == [CLASS_MAP, *IDS, UNRECOGNISED_LAYER]
    assert list(cams) == [CAM_PREFIX + label for label in IDS]
    for item in FOUR:
        assert layers[item.id].colour == cams[CAM_PREFIX + item.id].colour == rgb(item.colour)


def test_one_tile_is_explained_for_each_class(slide: Slide, score: SlideScore, four_class_bundle: Bundle) -> None:
    x, y = (int(value) for value in score.tiles[["x_l0_px", "y_l0_px"]].iloc[0])
    explained = explain_tile(slide, score.summary, x, y, four_class_bundle.session_of("tile"))
    assert list(explained.probabilities) == list(explained.cam) == IDS
    assert explained.recognised
    for label in IDS:
        assert gallery(slide, score, four_class_bundle.session_of("tile").model, label)[0]


def test_it_is_exported_in_every_form(slide: Slide, score: SlideScore, four_class_bundle: Bundle, tmp_path: Path) -> None:
    paths = {
        kind: write_export(kind, score, slide, four_class_bundle.session_of("tile"), tmp_path, "slide")
        for kind, export in EXPORTS.items()
        if not export.why_not(slide)
    }
    table = pd.read_csv(paths["csv"])
    assert {f"p_{label}" for label in IDS} <= set(table.columns) == set(pd.read_parquet(paths["parquet"]).columns)
    features = json.loads(paths["geojson"].read_text(encoding="utf-8"))["features"]
    shown = {feature["properties"]["classification"]["name"]: feature["properties"] for feature in features}
    assert set(shown) == set(TITLES)
    for item in FOUR:
        assert tuple(shown[item.title]["classification"]["color"]) == rgb(item.colour)
        assert f"P({item.title})" in shown[item.title]["measurements"]
    with tifffile.TiffFile(paths["heatmap"]) as opened:
        assert opened.asarray().shape[0] == len(FOUR) + 1
        assert all(title in opened.ome_metadata for title in TITLES)
    write_report(score, slide, four_class_bundle.session_of("tile"), tmp_path / "report.pdf")
    said = "".join(page.extract_text() for page in pypdf.PdfReader(tmp_path / "report.pdf").pages)
    assert all(f"Area, {title}" in said for title in TITLES)


def test_the_command_line_scores_with_it(four_class_root: Path, four_class_slide: Path, tmp_path: Path) -> None:
    assert (
        main(["slide", str(four_class_slide), "--bundle", str(four_class_root), "--out", str(tmp_path), "--device", "cpu"]) == 0
    )
    assert f"p_{IDS[3]}" in pd.read_csv(next(tmp_path.glob("*tiles.csv"))).columns


def test_tiles_that_somebody_brought_are_read_by_id_and_by_title(slide: Slide, four_class_bundle: Bundle) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for band, item in enumerate(FOUR):
            for row, folder in enumerate((item.id, item.title.upper())):
                png = io.BytesIO()
                Image.fromarray(slide.read_tile(band * BAND_PX, row * TILE_PX, 0, TILE_PX, TILE_PX)).save(png, "PNG")
                archive.writestr(f"all/{folder}/p{band}/{row}.png", png.getvalue())
    found = labelled_tiles(packed.getvalue(), four_class_bundle.session_of("tile"))
    assert not found.problems
    assert found.cases.frame["label"].value_counts().to_dict() == dict.fromkeys(IDS, 2)
    assert (found.cases.frame["group"].str[0] == "p").all()


def test_its_tiles_are_labelled_and_go_to_qupath_and_back(
    slide: Slide, score: SlideScore, model: Model, four_class_bundle: Bundle, tmp_path: Path
) -> None:
    path = tmp_path / "labels.geojson"
    with open_store(f"sqlite:///{tmp_path / 'labels.sqlite'}") as store:
        cases, scores = gather_tiles(slide, score, four_class_bundle, 8)
        assert {one.model_id for one in scores} == {scorer_of(four_class_bundle, "tile").model_id} == {MODEL_ID}
        assert set(scores[0].probabilities) == set(IDS)
        keep_cases(store, "tile", model.class_ids, (cases, scores), "A")
        assert store.classes("tile") == IDS
        for case, label in zip(cases, IDS, strict=False):
            store.record(LabelEvent(case.id, "A", "label", label, new_key()))
        assert write_qupath(store, slide.sha256, path, classes=model.classes) == len(FOUR)
        written = [feature["properties"]["classification"] for feature in json.loads(path.read_text("utf-8"))["features"]]
        assert {one["name"]: tuple(one["color"]) for one in written} == {item.title: rgb(item.colour) for item in FOUR}
        assert read_qupath(store, path, "B", classes=model.classes).added == len(FOUR)
        assert sorted(store.truths("tile")["label"].dropna()) == sorted(IDS)


def test_the_card_names_each_class_with_its_role(four_class_bundle: Bundle) -> None:
    card = model_card(four_class_bundle)
    for item in FOUR:
        assert f"| {item.id} | {item.title} | {item.role} |" in card
    for kind in FORMATS:
        assert card_file(four_class_bundle, kind, MODEL_ID if kind == "xml" else "")


def test_its_questions_are_answered_from_its_held_out_cases(four_class_bundle: Bundle, model: Model) -> None:
    assert model.cancer_task.id == "invasive"
    report = held_out(four_class_bundle, model, model.cancer_task, 0.5).report()
    assert (report.n, report.positives) == (192, 96)


@pytest.mark.parametrize("count", [2, 6])
def test_two_classes_or_six_are_scored_alike(count: int, four_class_slide: Path, tmp_path: Path) -> None:
    colours = ("#0072B2", "#D55E00", "#CC79A7", "#009E73", "#E69F00", "#56B4E9")
    roles = ("malignant", "benign", "other", "malignant", "benign", "other")
    classes = [class_of(f"class-{at}", colour=colours[at], role=roles[at]) for at in range(count)]
    bundle = load_bundle(write_tile_bundle(tmp_path / "bundle", classes, "another"), device="cpu")
    tiles = score_slide(open_slide(four_class_slide), bundle).tiles
    assert [name for name in tiles if name.startswith("p_")] == [f"p_class-{at}" for at in range(count)]
