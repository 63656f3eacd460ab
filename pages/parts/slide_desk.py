"""The slide page's resources: open slides, the job board, addresses of map tiles."""

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from urllib.parse import urlsplit

import pandas as pd
import streamlit as st
from PIL import Image

from cervix.bundle import Bundle
from cervix.bundle.manifest import TileInput
from cervix.files import replacing
from cervix.jobs import JobBoard
from cervix.settings import get_settings
from cervix.slides.deepzoom import CLASS_COLOURS, NOVELTY_COLOUR, heat_layer
from cervix.slides.grid import lay_grid
from cervix.slides.reading import Slide, open_slide
from cervix.slides.results import load_score, save_score
from cervix.slides.scoring import ScoreProgress, SlideScore, score_slide
from cervix.slides.tissue import find_tissue, outline
from cervix.web import SLIDE_LAYER, tokens

logger = logging.getLogger(__name__)

SlideJobs = JobBoard[ScoreProgress, SlideScore]


@st.cache_resource
def job_board() -> SlideJobs:
    """The one board of this server: jobs outlive pages and sessions."""
    return JobBoard()


@st.cache_resource(max_entries=20, show_spinner="Opening the slide …")
def opened(path: Path) -> Slide:
    """A slide's handle, shared by every session that looks at it."""
    return open_slide(path)


def store_upload(name: str, content: memoryview) -> Path:
    """Keep an upload under its hash; its name, which can hold a patient's, is not stored."""
    path = get_settings().uploads_dir / f"{hashlib.sha256(content).hexdigest()}{Path(name).suffix.lower()}"
    if not path.is_file():
        with replacing(path) as temporary:
            temporary.write_bytes(content)
    return path


@dataclass(frozen=True)
class TissuePlan:
    """What scoring will do, known before it starts."""

    outlined: Image.Image
    area_mm2: float
    tiles: int


@st.cache_data(max_entries=20, show_spinner="Finding tissue …", hash_funcs={Slide: lambda slide: slide.sha256})
def tissue_plan(slide: Slide, spacing_um_px: float, _tile_input: TileInput) -> TissuePlan:
    """Tissue outline, area and number of tiles; raises where there is nothing to score."""
    tissue = find_tissue(slide)
    grid = lay_grid(slide, tissue, _tile_input)
    return TissuePlan(outline(slide, tissue), tissue.area_mm2(spacing_um_px), len(grid))


def job_key(slide: Slide, bundle: Bundle) -> str:
    """One job per slide, scale and bundle, whoever asks."""
    return f"{slide.sha256}-{bundle.sha256}-{slide.spacing_um_px}"


def start_scoring(slide: Slide, bundle: Bundle) -> None:
    """Score in the background; the finished result is kept on disk."""
    results = get_settings().results_dir

    def work(report: Callable[[ScoreProgress], None], cancel: Event) -> SlideScore:
        score = load_score(results, slide, bundle) or score_slide(slide, bundle, on_progress=report, cancel=cancel)
        try:
            save_score(results, score)
        except OSError as error:
            logger.warning("a finished score could not be kept on disk: %s", error.strerror)
        return score

    job_board().submit(job_key(slide, bundle), work)


def finished_score(slide: Slide, bundle: Bundle) -> SlideScore | None:
    """The score of this slide, from this session's job or from disk."""
    job = job_board().get(job_key(slide, bundle))
    if job is not None and job.result is not None:
        return job.result
    return load_score(get_settings().results_dir, slide, bundle)


@st.cache_data(max_entries=5, show_spinner=False, hash_funcs={SlideScore: lambda score: score.summary.model_dump_json()})
def tile_table_csv(score: SlideScore) -> bytes:
    """The tile table with its provenance, made once a score."""
    return score.export_table().to_csv(index=False).encode()


def viewer_token(slide: Slide) -> str:
    """This session's token for the slide's map tiles."""
    granted: dict[str, str] = st.session_state.setdefault("viewer_tokens", {})
    if slide.sha256 not in granted or tokens.find(granted[slide.sha256]) is None:
        granted[slide.sha256] = tokens.grant(slide)
    return granted[slide.sha256]


def map_urls(slide: Slide, tiles: pd.DataFrame | None, layer: str | None, limit: float) -> tuple[str, str | None]:
    """Addresses of the slide's map tiles and, for a chosen layer, of its heat tiles."""
    token = viewer_token(slide)
    parts = urlsplit(str(st.context.url or "http://localhost:8501"))
    base = f"{parts.scheme}://{parts.netloc}/slides/{token}"
    slide_url = f"{base}/{SLIDE_LAYER}/{{z}}/{{x}}/{{y}}"
    if layer is None or tiles is None:
        return slide_url, None
    value = (tiles["novelty"] > limit).astype(float) if layer == "novelty" else tiles[f"p_{layer}"]
    colour = NOVELTY_COLOUR if layer == "novelty" else CLASS_COLOURS[layer]
    tokens.set_layers(token, {layer: heat_layer(tiles, value.to_numpy(), colour)})
    return slide_url, f"{base}/{layer}/{{z}}/{{x}}/{{y}}?tiles={len(tiles)}"
