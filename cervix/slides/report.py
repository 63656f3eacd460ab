"""The case report of a scored slide as PDF: answer, map, the most suspicious tiles, provenance."""

from pathlib import Path

import numpy as np
from PIL import Image

from cervix.bundle import Model, ModelSession
from cervix.bundle.classes import UNREAD, UNRECOGNISED
from cervix.files import replacing
from cervix.pdf import fact_table, gap, legend, picture, side_by_side, text, together, write_pdf
from cervix.slides.decision import answered_tiles, class_areas_mm2, tile_probabilities
from cervix.slides.deepzoom import rgb_of, value_grid
from cervix.slides.explanation import explain_tile, most_suspicious
from cervix.slides.scoring import SlideScore
from cervix.sources.slide import Slide, image_array

MAP_PX = 900
MAP_MM = 84
MAP_HEIGHT_MM = 90
TILES_SHOWN = 6
TILE_MM = 26


def write_report(score: SlideScore, slide: Slide, session: ModelSession, path: Path) -> None:
    """Write the report. Label and macro images are never read, so none can be in it.

    Raises ``SlideNotReadable`` where the slide's file is gone or damaged.
    """
    summary, model = score.summary, session.model
    overview, _ = slide.overview(max(slide.width_l0_px, slide.height_l0_px) / MAP_PX)
    areas = class_areas_mm2(score.tiles, model, summary.spacing_um_px)
    answer, origin = summary.answer, summary.provenance
    share = answer.cancerous_share
    area = "Area" if summary.triage is None else "Area seen"
    story = [
        text(answer.headline, "strong"),
        text(answer.reason),
        *([text(model.organs_seen, "small")] if model.organs else []),
        gap(2),
        side_by_side(
            [picture(overview, MAP_MM, MAP_HEIGHT_MM), text("Overview", "small")],
            [
                picture(_heat_over(overview, slide, score, model), MAP_MM, MAP_HEIGHT_MM),
                text("Most probable class of each tile; black: no answer; strong colour: more certain.", "small"),
                legend({item.title: item.colour for item in model.classes}, "small"),
            ],
        ),
        text("Figures", "heading"),
        fact_table(
            [
                *([("Triage", f"{summary.triage.words}. {summary.triage.stopped}")] if summary.triage else []),
                ("Tiles scored", f"{answer.tiles:,}; {answer.unrecognised_tiles:,} not recognised and left out"),
                *([("Tiles that could not be read", f"{answer.unread_tiles:,}")] if answer.unread_tiles else []),
                (
                    "Cancerous tiles",
                    f"{answer.cancerous_tiles:,} of {answer.counted}: {share.value:.1%} "
                    f"(95 % interval {share.low:.1%}–{share.high:.1%})"
                    if share
                    else "no answer",
                ),
                *((f"{area}, {item.title}", f"{areas[item.id]:.2f} mm²") for item in model.classes if not answer.abstained),
                (f"{area}, not recognised", f"{areas[UNRECOGNISED]:.2f} mm²"),
                *([("Area that could not be read", f"{areas[UNREAD]:.2f} mm²")] if answer.unread_tiles else []),
                ("Tissue", f"{summary.tissue_area_mm2:.2f} mm²"),
                *([("Slide head, beside the rule", summary.head.sentence(answer))] if summary.head else []),
            ]
        ),
        text("The rule", "heading"),
        text(answer.rule, "small"),
        text("Tiles most like carcinoma, with Grad-CAM", "heading"),
        *_loudest_tiles(score, slide, session),
        together(
            text("Provenance", "heading"),
            fact_table(
                [
                    ("Slide, SHA-256", summary.slide_sha256),
                    (
                        "Size and scale",
                        f"{summary.width_l0_px:,} × {summary.height_l0_px:,} px, "
                        f"{summary.spacing_um_px:g} µm per pixel, stated by the {summary.spacing_source}",
                    ),
                    ("Bundle", origin.bundle),
                    ("Bundle, SHA-256", origin.bundle_sha256),
                    ("Scored on", f"{origin.provider}, {origin.created}, Cervix Workbench {origin.app_version}"),
                    *(("Note", notice) for notice in summary.notices),
                    *(("Intended use", use) for use in model.intended_use),
                ]
            ),
        ),
    ]
    with replacing(path) as temporary:
        write_pdf(
            temporary,
            "Slide report",
            story,
            footer=f"{origin.bundle} ({origin.bundle_sha256[:10]}) · slide {summary.slide_sha256[:12]} · {origin.created}",
        )


def _heat_over(overview: Image.Image, slide: Slide, score: SlideScore, model: Model) -> Image.Image:
    """The overview with each tile in the colour of its most probable class, and dark where it has no answer."""
    silent = ~answered_tiles(score.tiles, model)
    probability = np.where(silent[:, None], 0.0, tile_probabilities(score.tiles, model))
    called = probability.argmax(axis=1)
    lattice = score.summary.lattice
    grid = value_grid(score.tiles, np.arange(len(score.tiles), dtype=np.float32), lattice)
    cells = np.zeros((*grid.shape, 4), np.uint8)
    scored = ~np.isnan(grid)
    index = grid[scored].astype(int)
    colours = np.array([rgb_of(item.colour) for item in model.classes], np.uint8)
    cells[scored, :3] = np.where(silent[index, None], 0, colours[called[index]])
    cells[scored, 3] = np.where(silent[index], 110, 60 + 130 * probability.max(axis=1)[index])
    left, top, right, bottom = (
        round(place * overview_px / slide_px)
        for place, overview_px, slide_px in (
            (lattice.left_l0_px, overview.width, slide.width_l0_px),
            (lattice.top_l0_px, overview.height, slide.height_l0_px),
            (lattice.left_l0_px + lattice.columns * lattice.size_l0_px, overview.width, slide.width_l0_px),
            (lattice.top_l0_px + lattice.rows * lattice.size_l0_px, overview.height, slide.height_l0_px),
        )
    )
    layer = Image.fromarray(cells).resize((max(1, right - left), max(1, bottom - top)), Image.Resampling.NEAREST)
    canvas = Image.fromarray(image_array(overview)).convert("RGBA")
    canvas.alpha_composite(layer.crop((0, 0, canvas.width - left, canvas.height - top)), (left, top))
    return canvas.convert("RGB")


def _loudest_tiles(score: SlideScore, slide: Slide, session: ModelSession) -> list[object]:
    """The tiles with the highest probability of carcinoma that have an answer; each beside its Grad-CAM."""
    chosen = score.tiles.iloc[most_suspicious(score.tiles, session.model, TILES_SHOWN)]
    if chosen.empty:
        return [text("The slide has no answer, so no tile is shown: the model's scores of them mean nothing.")]
    cells = []
    for _, tile in chosen.iterrows():
        explained = explain_tile(slide, score.summary, int(tile["x_l0_px"]), int(tile["y_l0_px"]), session)
        best = max(explained.probabilities, key=explained.probabilities.__getitem__)
        pair = Image.fromarray(np.hstack([explained.pixels, explained.overlay(best)]))
        place = f"x {tile['x_l0_px']:,.0f}, y {tile['y_l0_px']:,.0f}"
        words = f"{session.model.class_named(best).title} {explained.probabilities[best]:.0%} at {place}"
        cells.append([picture(pair, 2 * TILE_MM), text(words, "small")])
    rows = [cells[start : start + 3] for start in range(0, len(cells), 3)]
    return [side_by_side(*row, *([[]] * (3 - len(row)))) for row in rows]
