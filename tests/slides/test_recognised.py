"""One rule says which tiles the model may be heard on; all that is shown, written, labelled or trained by it agrees.

Some tiles here are recognised, some lie exactly at the limit or one step beyond it, and some have no number.
"""

import io
import json
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pypdf
import pytest
from numpy.typing import NDArray
from PIL import Image

from cervix.bundle import Bundle, Model, ModelSession
from cervix.labels import open_store
from cervix.labels.desk.ranking import Wish, rank
from cervix.labels.gathering.tiles import gather_tiles, keep_cases
from cervix.labels.store.cases import scorer_of
from cervix.slides.decision import class_areas_mm2, decide_tiles, hot_spots, most_probable
from cervix.slides.deepzoom import MAP_TILE_PX, HeatLayer, WorldMap, rgb_of
from cervix.slides.explanation import gallery, most_suspicious
from cervix.slides.exports import tile_table, write_geojson
from cervix.slides.layers import UNRECOGNISED_LAYER, cam_layers, class_map, score_layers
from cervix.slides.report import write_report
from cervix.slides.rows import mark_unread
from cervix.slides.scoring import SlideScore
from cervix.sources.opening import open_slide
from cervix.sources.slide import Slide
from training.slide.checks.robustness import robustness_table

# Their nearest float32, which a tile has that lies at the limit, is larger, smaller and the same.
LIMITS = (0.1, 0.7, 34.5)
KNOWN, UNKNOWN, UNREAD = "recognised", "not recognised", "unread"


@dataclass(frozen=True)
class Made:
    """A score with tiles of every sort, and what is true of each."""

    score: SlideScore
    session: ModelSession
    truth: NDArray[np.str_]

    @property
    def model(self) -> Model:
        return self.session.model

    def places(self, *sorts: str) -> set[tuple[int, int]]:
        rows = self.score.tiles[np.isin(self.truth, sorts)]
        return {(int(x), int(y)) for x, y in rows[["x_l0_px", "y_l0_px"]].to_numpy()}


@pytest.fixture(scope="module")
def slide(phantom_slide: Path) -> Slide:
    return open_slide(phantom_slide)


@pytest.fixture(scope="module", params=LIMITS)
def made(phantom_score: SlideScore, bundle: Bundle, request: pytest.FixtureRequest) -> Made:
    """One tile in ten is of each sort beside those well within the limit; what is not recognised looks most like carcinoma."""
    session = bundle.session("slide")
    limit = float(request.param)
    abstention = [item.model_copy(update={"limit": limit}) for item in session.model.abstention]
    session = replace(session, model=session.model.model_copy(update={"abstention": abstention}))
    count = len(phantom_score.tiles)
    nearest = np.float32(limit)
    sorts = np.arange(count) % 10
    sort_novelty = [0.0, nearest, np.nextafter(nearest, np.float32(np.inf)), np.inf, np.nan, *[0.0] * 5]
    novelty = np.array(sort_novelty, np.float32)[sorts]
    at_limit = KNOWN if float(nearest) <= limit else UNKNOWN
    beyond = KNOWN if float(np.nextafter(nearest, np.float32(np.inf))) <= limit else UNKNOWN
    truth = np.array([KNOWN, at_limit, beyond, UNKNOWN, UNREAD, UNKNOWN, *[KNOWN] * 4])[sorts]
    said = np.where((truth == KNOWN)[:, None], np.float32([0.1, 0.5, 0.3, 0.1]), np.float32([0.0, 0.98, 0.02, 0.0])).astype(
        np.float32
    )
    # Of a tile that was read, one probability is no number.
    said[sorts == 5, 2] = np.nan
    said[sorts == 4] = np.nan
    rows = phantom_score.rows.copy()
    rows["probabilities"], rows["novelty"], rows["cam_peak"], rows["cam"] = said, novelty, 1.0, 255
    mark_unread(rows, sorts == 4)
    tiles = phantom_score.tiles.assign(
        novelty=novelty, tissue_fraction=1.0, **{f"p_{label}": said[:, at] for at, label in enumerate(session.model.class_ids)}
    )
    answer = decide_tiles(tiles, session.model)
    assert not answer.abstained
    return Made(SlideScore(tiles, phantom_score.summary.model_copy(update={"answer": answer}), rows), session, truth)


def of_each(made: Made, sort: str) -> list[bool]:
    return (made.truth == sort).tolist()


def test_the_answer_counts_each_tile_as_what_it_is(made: Made) -> None:
    single = [decide_tiles(made.score.tiles.iloc[[at]], made.model) for at in range(len(made.truth))]
    assert [one.accepted_tiles == 1 for one in single] == of_each(made, KNOWN)
    assert [one.unrecognised_tiles == 1 for one in single] == of_each(made, UNKNOWN)
    assert [one.unread_tiles == 1 for one in single] == of_each(made, UNREAD)
    whole = made.score.summary.answer
    assert (whole.accepted_tiles, whole.unrecognised_tiles, whole.unread_tiles) == tuple(
        sum(of_each(made, sort)) for sort in (KNOWN, UNKNOWN, UNREAD)
    )


class Drawn:
    """What a browser is sent of a layer, each map tile drawn once."""

    def __init__(self, layer: HeatLayer, slide: Slide) -> None:
        self._layer, self._world = layer, WorldMap(slide.width_l0_px, slide.height_l0_px)
        self._tiles: dict[tuple[int, int], Image.Image] = {}

    def at(self, x_l0_px: float, y_l0_px: float) -> tuple[int, ...]:
        """One place: red, green, blue and opacity."""
        left, top = self._world.origin_px
        across, down = int(x_l0_px + left), int(y_l0_px + top)
        tile = across // MAP_TILE_PX, down // MAP_TILE_PX
        if tile not in self._tiles:
            with Image.open(io.BytesIO(self._layer.render_tile(self._world, self._world.max_zoom, *tile))) as drawn:
                self._tiles[tile] = drawn.convert("RGBA")
        return tuple(self._tiles[tile].getpixel((across % MAP_TILE_PX, down % MAP_TILE_PX)))


def centres(score: SlideScore) -> list[tuple[float, float]]:
    """The middle of each tile's own cell: of a tile moved in from the border, the part that no other holds."""
    lattice, size = score.summary.lattice, score.summary.size_l0_px
    column, row = lattice.cells(score.tiles["x_l0_px"].to_numpy(), score.tiles["y_l0_px"].to_numpy())
    return [
        (lattice.left_l0_px + (across + 1 / 8) * size, lattice.top_l0_px + (down + 1 / 8) * size)
        for across, down in zip(column, row, strict=True)
    ]


def test_the_map_colours_the_recognised_and_marks_the_others(made: Made, slide: Slide) -> None:
    layers = score_layers(made.score.tiles, made.model, "v") | cam_layers(made.score, made.model, "v")
    for name in ("scc", "cam_scc"):
        drawn = Drawn(layers[name], slide)
        seen = [drawn.at(*at) for at in centres(made.score)]
        coloured = [red != green for red, green, _, _ in seen]
        assert coloured == of_each(made, KNOWN), name
        assert all(opacity > 0 for *_, opacity in seen)
    grey = Drawn(layers[UNRECOGNISED_LAYER], slide)
    marked = [grey.at(*at)[3] > 0 for at in centres(made.score)]
    assert marked == of_each(made, UNKNOWN)


def test_the_class_map_has_one_colour_a_class_and_a_pattern_for_what_has_none(made: Made, slide: Slide) -> None:
    drawn = Drawn(class_map(made.score.tiles, made.model, "v"), slide)
    scc = rgb_of(made.model.class_named("scc").colour)
    patterns = {}
    for sort, (x, y) in zip(made.truth, centres(made.score), strict=True):
        seen = [drawn.at(x + across, y + down) for across in range(8) for down in range(8)]
        pixels = set(seen)
        assert {pixel[:3] == scc for pixel in pixels} == {sort == KNOWN}
        assert all(opacity > 0 for *_, opacity in pixels)
        patterns[sort] = sorted(opacity for *_, opacity in seen)
    assert len(set(patterns[KNOWN])) == 1
    assert len(set(patterns[UNKNOWN])) == len(set(patterns[UNREAD])) == 2
    assert patterns[UNKNOWN] != patterns[UNREAD], "lines are no dots"


def test_each_tile_adds_its_area_to_its_own_sort(made: Made) -> None:
    for at, sort in enumerate(made.truth):
        areas = class_areas_mm2(made.score.tiles.iloc[[at]], made.model, 0.5)
        where = {KNOWN: "scc", UNKNOWN: "unrecognised", UNREAD: "unread"}[sort]
        assert [name for name, area in areas.items() if area > 0] == [where]


def test_geojson_table_and_heatmap_say_the_same(made: Made, tmp_path: Path) -> None:
    def refuse(text: str) -> None:
        raise ValueError(f"{text} is no JSON")

    path = tmp_path / "tiles.geojson"
    write_geojson(made.score, made.model, path)
    features = json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)["features"]
    titles = [feature["properties"]["classification"]["name"] for feature in features]
    assert [title == "Squamous-cell carcinoma" for title in titles] == of_each(made, KNOWN)
    assert [title.startswith("Not recognised") for title in titles] == of_each(made, UNKNOWN)
    assert [title == "Could not be read" for title in titles] == of_each(made, UNREAD)
    told = [any(name.startswith("P(") for name in feature["properties"]["measurements"]) for feature in features]
    assert told == of_each(made, KNOWN)
    table = tile_table(made.score, made.model)
    assert table["recognised"].tolist() == table["p_scc"].notna().tolist() == of_each(made, KNOWN)
    assert table["read"].tolist() == (made.truth != UNREAD).tolist()


def test_places_and_tiles_that_are_shown_are_recognised_ones(made: Made, slide: Slide) -> None:
    tiles, count = made.score.tiles, len(made.truth)
    known = set(np.flatnonzero(made.truth == KNOWN))
    assert set(most_suspicious(tiles, made.model, count)) == known
    assert set(np.flatnonzero(most_probable(tiles, made.model) >= 0)) == known
    certain, _ = gallery(slide, made.score, made.model, "scc", count=count)
    assert {tile.row for tile in certain} == known
    half = made.score.summary.size_l0_px // 2
    spots = hot_spots(tiles, made.model, count=count)
    assert spots
    assert {(x - half, y - half) for x, y in spots} <= made.places(KNOWN)


def test_the_pdf_report_counts_draws_and_shows_the_same(made: Made, slide: Slide, tmp_path: Path) -> None:
    write_report(made.score, slide, made.session, tmp_path / "report.pdf")
    pages = pypdf.PdfReader(tmp_path / "report.pdf").pages
    text = " ".join(" ".join(page.extract_text() for page in pages).split())
    known, unknown, unread = (sum(of_each(made, sort)) for sort in (KNOWN, UNKNOWN, UNREAD))
    assert f"{known + unknown}; {unknown} not recognised and left out" in text
    assert f"Tiles that could not be read {unread}" in text
    area = (made.score.summary.size_l0_px * made.score.summary.spacing_um_px / 1000) ** 2
    assert f"Area, not recognised {unknown * area:.2f} mm²" in text
    assert f"Area, Squamous-cell carcinoma {known * area:.2f} mm²" in text
    shown = {(int(x.replace(",", "")), int(y.replace(",", ""))) for x, y in re.findall(r"at x ([\d,]+), y ([\d,]+)", text)}
    assert shown
    assert shown <= made.places(KNOWN)
    pictures = [image.image.convert("RGB") for image in pages[0].images]
    # The map, and itself under colours and shadows.
    drawn, plain = sorted((one for one in pictures if one.width > 1000), key=lambda one: float(np.asarray(one).mean()))
    scale = drawn.width / slide.width_l0_px
    for at, (x, y) in enumerate(centres(made.score)):
        place = int(x * scale), int(y * scale)
        before, after = (np.array(picture.getpixel(place), float) for picture in (plain, drawn))
        shadow = np.abs(after - before * (1 - 110 / 255)).max()
        assert (shadow < 15) == (made.truth[at] != KNOWN), (at, made.truth[at], before, after)


def test_the_label_desk_hears_the_same_tiles(made: Made, slide: Slide, bundle: Bundle, tmp_path: Path) -> None:
    own = replace(bundle, sessions={**bundle.sessions, "slide": made.session})
    cases, scores = gather_tiles(slide, made.score, own, len(made.truth))
    with open_store(f"sqlite:///{tmp_path / 'labels.sqlite'}") as store:
        keep_cases(store, "tile", made.model.class_ids, (cases, scores), "Reader")
        opinions = rank(store, scorer_of(own, "tile"), Wish("tile", "Reader"), "entropy", len(cases)).opinions
        heard = {(int(case.x_l0_px or 0), int(case.y_l0_px or 0)): opinions[case.id].answered_by(made.model) for case in cases}
    assert {place for place, answered in heard.items() if answered} == made.places(KNOWN)
    assert set(heard) <= made.places(KNOWN, UNKNOWN)
    assert not all(heard.values())


def test_training_flags_the_same_share(made: Made) -> None:
    count = len(made.truth)
    out = {"probabilities": made.score.rows["probabilities"], "novelty": made.score.rows["novelty"]}
    pixels = np.random.default_rng(0).integers(0, 256, (count, 16, 16, 3), dtype=np.uint8)
    labels = np.array([made.model.class_ids[at % 3] for at in range(count)])
    table = robustness_table(
        pixels, labels, labels, lambda _: out, made.model.class_ids, [], {}, made.model.abstention_limit("novelty")
    )
    share = (made.truth != KNOWN).mean()
    assert set(table["flagged as novel"]) == {f"{share * 100:.1f} %"}
