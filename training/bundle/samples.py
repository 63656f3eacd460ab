"""The sample slides that ship with the app, and the picture of its first page."""

import json
from pathlib import Path

from PIL import Image, ImageDraw

from cervix.bundle import Bundle
from cervix.files import replacing
from cervix.samples.shown import HERO_FACTS, HERO_PICTURE, HERO_SLIDE
from cervix.samples.slides import DRAWN_FILES
from cervix.slides.drawn.slides import DRAWN_SLIDES
from cervix.slides.scoring import score_slide
from cervix.sources.opening import open_slide
from training.shared.stages import Log

PICTURE_WIDTH_PX = 900
TINT = 0.33
THUMBNAIL_WIDTH_PX = 480


def draw_samples(bundle: Bundle, log: Log) -> None:
    """Draw every sample slide anew with its thumbnail, and the first page's picture of one as this bundle scores it."""
    for slide in DRAWN_SLIDES:
        with replacing(DRAWN_FILES / f"{slide.id}.tiff") as temporary:
            slide.write(temporary)
        overview = _overview(DRAWN_FILES / f"{slide.id}.tiff", THUMBNAIL_WIDTH_PX)
        overview.save(DRAWN_FILES / f"{slide.id}.jpg", quality=85)
        log(f"{slide.title}: drawn")
    _draw_hero(bundle)
    log(f"{HERO_PICTURE.name}: {json.loads(HERO_FACTS.read_text())['headline']}")


def _overview(path: Path, width_px: int) -> Image.Image:
    slide = open_slide(path)
    image, _ = slide.overview(slide.width_l0_px / width_px)
    return image.convert("RGB")


def _draw_hero(bundle: Bundle) -> None:
    path = DRAWN_FILES / f"{HERO_SLIDE}.tiff"
    score = score_slide(open_slide(path), bundle)
    model = bundle.session_of("tile").model
    picture = _overview(path, PICTURE_WIDTH_PX)
    factor = picture.width / open_slide(path).width_l0_px
    tint = Image.new("RGBA", picture.size, (0, 0, 0, 0))
    pen = ImageDraw.Draw(tint)
    edge = score.summary.size_l0_px * factor
    columns = [f"p_{name}" for name in model.class_ids]
    probabilities = score.tiles[columns].to_numpy()
    best = probabilities.argmax(axis=1)
    recognised = model.is_recognised(score.tiles["novelty"].to_numpy(), probabilities)
    for (x, y), place in zip(
        score.tiles.loc[recognised, ["x_l0_px", "y_l0_px"]].to_numpy() * factor, best[recognised], strict=True
    ):
        pen.rectangle((x, y, x + edge, y + edge), fill=f"{model.classes[place].colour}{round(TINT * 255):02x}")
    picture = Image.alpha_composite(picture.convert("RGBA"), tint).convert("RGB")
    picture.save(HERO_PICTURE, quality=80)
    answer = score.summary.answer
    share = answer.cancerous_share
    facts = {
        "bundle_sha256": bundle.sha256,
        "headline": answer.headline,
        "tiles": answer.counted,
        "share": [round(float(value), 4) for value in (share.value, share.low, share.high)] if share else [],
        "classes": answer.class_tiles,
    }
    HERO_FACTS.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
