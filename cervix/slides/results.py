"""Scores on disk: ``results/<slide sha>/<bundle sha>/``, each file whole or not there."""

from pathlib import Path

import pandas as pd
from pydantic import ValidationError

from cervix.bundle import Bundle
from cervix.files import replacing
from cervix.slides.reading import Slide
from cervix.slides.scoring import SlideScore, SlideSummary

TILES_NAME = "tiles.parquet"
SUMMARY_NAME = "summary.json"


def result_dir(results_dir: Path, slide_sha256: str, bundle_sha256: str) -> Path:
    """The folder of one slide scored by one bundle."""
    return results_dir / slide_sha256 / bundle_sha256


def save_score(results_dir: Path, score: SlideScore) -> Path:
    """Write tiles, then the summary that makes them count. Returns the folder."""
    folder = result_dir(results_dir, score.summary.slide_sha256, score.summary.provenance.bundle_sha256)
    with replacing(folder / TILES_NAME) as temporary:
        score.tiles.to_parquet(temporary, index=False)
    with replacing(folder / SUMMARY_NAME) as temporary:
        temporary.write_text(score.summary.model_dump_json(indent=2), encoding="utf-8")
    return folder


def load_score(results_dir: Path, slide: Slide, bundle: Bundle) -> SlideScore | None:
    """The stored score of this slide at this scale by this bundle and variant; None where there is none.

    A result written by another version of the app, or at another scale, is none.
    """
    folder = result_dir(results_dir, slide.sha256, bundle.sha256)
    try:
        summary = SlideSummary.model_validate_json((folder / SUMMARY_NAME).read_bytes())
        tiles = pd.read_parquet(folder / TILES_NAME)
    except (FileNotFoundError, ValidationError):
        return None
    same = summary.spacing_um_px == slide.spacing_um_px and summary.precision == bundle.session("slide").variant.precision
    return SlideScore(tiles, summary) if same else None
