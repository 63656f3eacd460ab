"""The slide page's resources: the scoring desk, open slides, uploads, addresses of map tiles."""

import base64
import hashlib
import io
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import streamlit as st
from PIL import Image

from cervix.bundle import Bundle, Model
from cervix.errors import CervixError
from cervix.held import HeldFiles
from cervix.intake.shelf import SeenSlide, recent, remember, save_thumbnail, seen_slide, thumbnail_path
from cervix.interop.exports import write_export
from cervix.settings import get_settings
from cervix.slides.deepzoom import HeatLayer
from cervix.slides.desk import ScoringDesk, measured_tiles_per_s
from cervix.slides.gate import GateReport, inspect_slide
from cervix.slides.head_layer import attention_layers
from cervix.slides.layers import cam_layers, score_layers
from cervix.slides.results import SUMMARY_NAME, result_dir
from cervix.slides.scoring import SlidePlan, SlideScore, plan_slide
from cervix.slides.tissue import outline
from cervix.sources.identity import files_of
from cervix.sources.probe import open_outside
from cervix.sources.slide import Slide
from cervix.web import Session, UploadGrant, open_view, scoring_desk, slide_tokens, upload_store, upload_tokens
from cervix.web.tiles import SLIDE_LAYER
from cervix.web.tokens import TokenRegistry
from pages.parts.shared.people import person
from pages.parts.shared.sandbox import held_by_sandbox

SWEEP_EVERY_S = 600
INBOX_THUMBNAIL_PX = 240
INSET_PX = 240
JPEG_QUALITY = 80
SCORED_AT_MOST = 50
# The GeoJSON of a large slide has 50 MB.
EXPORTS_HELD_BYTES = 128 << 20

HashFuncs = dict[str | type[Any], Callable[[Any], Any]]
by_hash: HashFuncs = {Slide: lambda slide: (slide.sha256, slide.spacing_um_px)}
by_bundle: HashFuncs = {**by_hash, Bundle: lambda bundle: bundle.sha256}
by_score: HashFuncs = {**by_bundle, SlideScore: lambda score: score.summary.model_dump_json()}


def desk() -> ScoringDesk:
    """The one desk of this server: scores outlive pages and sessions. A sandbox has one of its own, which ends with it."""
    settings = get_settings()
    of_sandbox = held_by_sandbox("scoring desk", lambda: ScoringDesk(settings.results_dir), ScoringDesk.stop)
    return of_sandbox or scoring_desk()


def owner() -> str:
    """Who this session is at the desk: sessions take turns at the device."""
    return str(st.session_state.setdefault("owner", f"session-{id(st.session_state)}"))


@st.cache_resource(max_entries=20, show_spinner="Opening the slide …")
def _opened(path: Path, changed: tuple[int, float], _sha256: str | None) -> Slide:  # noqa: ARG001 - part of the key
    return open_outside(path, sha256=_sha256 or upload_store().sha256_at(path))


def opened(path: Path, sha256: str | None = None) -> Slide:
    """A slide's handle, shared by every session that looks at it; opened again when its file has changed.

    Parameters
    ----------
    sha256 : of the slide, where it was read from this file just now: a large one takes long to be read again
    """
    try:
        stats = [file.stat() for file in files_of(path)]
    except OSError:
        return open_outside(path)
    return _opened(path, (sum(stat.st_size for stat in stats), max(stat.st_mtime for stat in stats)), sha256)


def reopened(entry: SeenSlide) -> Slide:
    """A slide of the shelf with the scale it was seen at."""
    slide = opened(entry.path)
    given = slide.spacing_um_px is None and entry.spacing_um_px is not None
    return slide.with_spacing(entry.spacing_um_px) if given and entry.spacing_um_px else slide


def slide_words(entry: SeenSlide) -> str:
    """A slide of the shelf in a list; its name is not kept."""
    return f"{entry.width_l0_px:,} × {entry.height_l0_px:,} px · {entry.sha256[:8]}… · {entry.seen[:10]}"


@st.cache_resource(max_entries=8, show_spinner="Finding tissue …", hash_funcs=by_bundle)
def slide_plan(slide: Slide, bundle: Bundle, everywhere: bool) -> SlidePlan:
    """Tissue and grid; raises where there is nothing to score."""
    return plan_slide(slide, bundle, everywhere=everywhere)


@st.cache_data(max_entries=20, show_spinner="Looking at some tiles …", hash_funcs=by_hash)
def gate_report(slide: Slide, _plan: SlidePlan, everywhere: bool) -> GateReport:  # noqa: ARG001 - part of the key
    """The quality gate, once a slide."""
    return inspect_slide(slide, _plan)


@st.cache_data(max_entries=20, show_spinner=False, hash_funcs=by_hash)
def outlined(slide: Slide, _plan: SlidePlan, everywhere: bool) -> Image.Image:  # noqa: ARG001 - the key
    """The overview with the tissue's border."""
    return outline(_plan.tissue)


def put_on_shelf(slide: Slide, plan: SlidePlan) -> None:
    """Remember a slide among the recent ones, once each time this session turns to it."""
    now = (slide.sha256, slide.spacing_um_px)
    if st.session_state.get("slide_shelved") != now:
        remember(get_settings().shelf_dir, slide, outlined(slide, plan, plan.everywhere))
        st.session_state["slide_shelved"] = now
        st.session_state.setdefault("slides_opened", set()).add(slide.sha256)


def slides_in_sight() -> frozenset[str] | None:
    """Hashes of the only slides of the shelf that this session may see: those it opened; None where it may see them all."""
    return None if person().may_browse else frozenset(st.session_state.get("slides_opened", ()))


def seen_lately(limit: int) -> list[SeenSlide]:
    """The slides of the shelf that this session may see, the newest first."""
    return recent(get_settings().shelf_dir, limit, slides_in_sight())


def scored_slides(bundle: Bundle) -> dict[str, SeenSlide]:
    """The slides of the shelf that this session may see and this bundle has scored, by hash."""
    return _scored_slides(get_settings().home, bundle, slides_in_sight())


@st.cache_data(ttl=10, show_spinner=False, hash_funcs=by_bundle)
def _scored_slides(home: Path, bundle: Bundle, among: frozenset[str] | None) -> dict[str, SeenSlide]:  # noqa: ARG001 - the key
    settings = get_settings()
    return {
        entry.sha256: entry
        for entry in recent(settings.shelf_dir, SCORED_AT_MOST, among)
        if (result_dir(settings.results_dir, entry.sha256, bundle.sha256) / SUMMARY_NAME).is_file()
    }


@st.cache_resource(hash_funcs=by_bundle, show_spinner=False)
def device_speed(bundle: Bundle) -> float:
    """Tiles a second of the bare session here, measured once."""
    return measured_tiles_per_s(bundle)


def remembered_spacing(slide: Slide) -> float | None:
    """The scale a user gave for this slide before."""
    entry = seen_slide(get_settings().shelf_dir, slide.sha256)
    return entry.spacing_um_px if entry is not None and entry.spacing_source == "user" else None


@st.cache_data(ttl=SWEEP_EVERY_S, show_spinner=False)
def sweep_uploads(home: Path) -> int:  # noqa: ARG001 - part of the key
    """Delete uploads whose time is over; at most every ten minutes."""
    return upload_store().sweep(get_settings().uploads_keep_hours * 3600, desk().slides_in_use())


def _granted(name: str, tokens: TokenRegistry[Any], grant: Callable[[Session], str]) -> str:
    """This session's token under a name; a new one where it has expired. All end with the session."""
    granted: dict[str, str] = st.session_state.setdefault("tokens", {})
    if name not in granted or tokens.find(granted[name]) is None:
        granted[name] = grant(st.session_state.setdefault("token_session", Session()))
    return granted[name]


def upload_url() -> str:
    """Where this session may put files."""
    return f"/slides/upload/{_granted('upload', upload_tokens, partial(upload_tokens.grant, UploadGrant()))}"


def uploaded_slides(upload: str) -> dict[Path, str]:
    """What this session has uploaded under an id, with the names it came with; nothing that anybody else has."""
    grant = upload_tokens.find(st.session_state.get("tokens", {}).get("upload", ""))
    return grant.finished.get(upload, {}) if grant is not None else {}


@st.cache_data(max_entries=200, show_spinner=False)
def small_overview(path: Path, size: int, changed: float) -> str | None:
    """A small overview of a slide that nobody has opened yet, kept on disk; None where it cannot be read."""
    key = hashlib.sha256(f"{path}|{size}|{changed}".encode()).hexdigest()
    kept = thumbnail_path(get_settings().shelf_dir / "inbox", key)
    if not kept.is_file():
        try:
            slide = open_outside(path, sha256=key)
            save_thumbnail(kept, slide.overview(max(slide.width_l0_px, slide.height_l0_px) / INBOX_THUMBNAIL_PX)[0])
        except CervixError:
            return None
    return str(kept)


@st.cache_data(max_entries=40, show_spinner=False, hash_funcs=by_hash)
def inset_picture(slide: Slide) -> str:
    """A small overview as a data address, for the viewer's inset."""
    picture = slide.overview(max(slide.width_l0_px, slide.height_l0_px) / INSET_PX)[0].convert("RGB")
    picture.thumbnail((INSET_PX, INSET_PX))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def map_base(slide: Slide) -> str:
    """Absolute address of this session's map tiles of a slide, without layer and place."""
    token = _granted(f"slide-{slide.sha256}", slide_tokens, partial(open_view, slide))
    parts = urlsplit(str(st.context.url or "http://localhost:8501"))
    return f"{parts.scheme}://{parts.netloc}/slides/{token}"


def slide_url(slide: Slide) -> str:
    """Address of the slide's own map tiles."""
    return f"{map_base(slide)}/{SLIDE_LAYER}/{{z}}/{{x}}/{{y}}"


def offer_layers(slide: Slide, layers: dict[str, HeatLayer]) -> dict[str, str]:
    """Serve score layers under this session's token; returns their addresses by name."""
    base = map_base(slide)
    viewed = slide_tokens.find(base.rsplit("/", 1)[1])
    if viewed is not None:
        viewed.layers = layers
    return {name: f"{base}/{name}/{{z}}/{{x}}/{{y}}?v={layer.version}" for name, layer in layers.items()}


@st.cache_resource(max_entries=4, show_spinner=False, hash_funcs=by_score)
def final_layers(score: SlideScore, _model: Model) -> dict[str, HeatLayer]:
    """The layers of a finished score, the mosaic of its Grad-CAM for each class, and where a slide head looked."""
    version = score.summary.provenance.created
    layers = score_layers(score.tiles, _model, version) | cam_layers(score, _model, version)
    return layers | attention_layers(score.tiles, version)


@st.cache_resource
def _exports() -> HeldFiles:
    return HeldFiles(EXPORTS_HELD_BYTES)


def export_bytes(kind: str, score: SlideScore, slide: Slide, bundle: Bundle) -> bytes:
    """One export as a file's content, made once a score."""
    key = (kind, by_score[SlideScore](score), slide.sha256, bundle.sha256)
    made = _exports().find(key)
    if made is not None:
        return made
    with tempfile.TemporaryDirectory() as folder:
        path = write_export(kind, score, slide, bundle.session_of("tile"), Path(folder), "slide")
        return _exports().keep(key, path.read_bytes())
