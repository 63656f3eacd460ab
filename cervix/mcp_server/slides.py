"""Tools about slides in the inbox folders. Nothing is written: a score made here is kept in memory alone."""

from datetime import UTC, datetime
from threading import Lock
from typing import Final

from cachetools import LRUCache

from cervix.api.places import Places
from cervix.bundle import Bundle
from cervix.errors import CallRefused, NameRefused, WrongStain
from cervix.intake.inbox import file_in_inbox, list_inbox
from cervix.intervals import Interval
from cervix.mcp_server.asked import InboxAsked, ScoreAsked
from cervix.mcp_server.call import Call
from cervix.mcp_server.told import ClassShare, InboxTold, ScoreTold, SlideFile, TileShare
from cervix.outside_names import safe_name
from cervix.plain_text import printable
from cervix.provenance import provenance_of
from cervix.settings import get_settings
from cervix.slides.decision import class_shares, share_of_tiles
from cervix.slides.gate import plan_through_the_gate
from cervix.slides.results import load_score
from cervix.slides.scoring import ScoreProgress, SlideSummary, score_slide
from cervix.sources.probe import open_outside
from cervix.sources.slide import Slide
from cervix.web.bundles import active_proved

SLIDES_TOLD_AT_MOST: Final = 200
SCORES_HELD: Final = 64
SCORING: Final = Places(1, "having a slide scored")
_Key = tuple[str, str, float, bool]
_Scored = tuple[SlideSummary, list[str]]
"""A score without its tiles, and what the quality gate warned of."""
_scores: "LRUCache[_Key, _Scored]" = LRUCache(SCORES_HELD)
_held = Lock()


def slides_in_the_inbox(asked: InboxAsked, _: Call) -> InboxTold:
    """The slides that can be scored, by their relative paths."""
    bundle = active_proved()
    entries = list_inbox(get_settings().inbox, search=asked.search)
    plain = [entry for entry in entries if _is_plain(entry.name)]
    told = plain[:SLIDES_TOLD_AT_MOST]
    return InboxTold(
        provenance=provenance_of(bundle, bundle.manifest.models[0].id),
        slides=[
            SlideFile(
                inbox=entry.name,
                bytes=entry.bytes,
                modified=datetime.fromtimestamp(entry.modified, UTC).isoformat(timespec="seconds"),
            )
            for entry in told
        ],
        found=len(entries),
        not_told=len(plain) - len(told),
        cannot_be_asked_for=len(entries) - len(plain),
    )


def _is_plain(name: str) -> bool:
    """Whether it can be told as it is, and asked for."""
    try:
        return str(safe_name(name)) == name == printable(name)
    except NameRefused:
        return False


def score_of_a_slide(asked: ScoreAsked, call: Call) -> ScoreTold:
    """A slide's answer: from memory or disk where it was scored before, or scored now as ``python -m cervix slide`` does.

    Raises ``CervixError`` where the slide is not one that can be scored, ``ServerBusy`` while another is being scored.
    """
    path = file_in_inbox(get_settings().inbox, asked.inbox)
    if path is None:
        raise CallRefused("There is no such slide in an inbox folder", action="slides_in_the_inbox tells which there are.")
    with SCORING.taken():
        bundle = active_proved()
        slide = open_outside(path)
        if asked.spacing is not None:
            slide = slide.with_spacing(asked.spacing)
        key = slide.sha256, bundle.sha256, slide.known_spacing_um_px, asked.everywhere
        with _held:
            scored = _scores.get(key)
        if scored is None:
            kept = load_score(get_settings().results_dir, slide, bundle, everywhere=asked.everywhere)
            scored = (kept.summary, []) if kept is not None else None
        scored_before = scored is not None
        scored = scored or _scored(slide, bundle, asked, call)
        with _held:
            _scores[key] = scored
    return _told(asked.inbox, scored, bundle, kept=scored_before)


def _scored(slide: Slide, bundle: Bundle, asked: ScoreAsked, call: Call) -> _Scored:
    try:
        plan, gate = plan_through_the_gate(slide, bundle, everywhere=asked.everywhere, despite_quality=asked.despite_quality)
    except WrongStain as error:
        raise WrongStain(error.problem, action=f"{error.action} With despite_quality it is scored all the same.") from error

    def show(progress: ScoreProgress) -> None:
        call.on_progress(progress.done, progress.total, f"{progress.done:,} of {progress.total:,} tiles are scored.")

    score = score_slide(slide, bundle, plan=plan, on_progress=show, cancel=call.cancel)
    return score.summary, [warning for warning in (gate.wrong_stain, *gate.warnings) if warning]


def _told(inbox: str, scored: _Scored, bundle: Bundle, *, kept: bool) -> ScoreTold:
    summary, warnings = scored
    answer, model = summary.answer, bundle.session_of("tile").model
    rule = model.slide_rule
    assert rule is not None  # a model without one scores no slide
    cancerous = answer.cancerous_share
    return ScoreTold(
        provenance=summary.provenance,
        inbox=inbox,
        slide_sha256=summary.slide_sha256,
        kept=kept,
        sentence=answer.sentence,
        verdict=answer.verdict,
        rule=answer.rule,
        tiles=answer.tiles,
        unread_tiles=answer.unread_tiles,
        accepted_tiles=answer.accepted_tiles,
        cancerous=_tile_share(answer.cancerous_tiles, answer.counted_tiles, cancerous) if cancerous else None,
        not_recognised=(
            _tile_share(answer.unrecognised_tiles, answer.tiles, share_of_tiles(answer.unrecognised_tiles, answer.tiles, rule))
            if answer.tiles
            else None
        ),
        classes=[
            ClassShare(
                id=label,
                title=model.class_titles[label],
                tiles=answer.class_tiles[label],
                value=share.value,
                low=share.low,
                high=share.high,
            )
            for label, share in class_shares(answer, rule).items()
        ],
        tissue_area_mm2=summary.tissue_area_mm2,
        spacing_um_px=summary.spacing_um_px,
        spacing_source=summary.spacing_source,
        precision=summary.precision,
        seconds=summary.timings.total_s,
        notices=[*summary.notices, *warnings],
        organs_seen=model.organs_seen,
        limits=model.limits,
    )


def _tile_share(tiles: int, of: int, share: Interval) -> TileShare:
    return TileShare(tiles=tiles, of=of, value=share.value, low=share.low, high=share.high)
