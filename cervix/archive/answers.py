"""What the list of many slides shows of each: one flat row of facts, the same in the ledger, on the page and in Parquet."""

from typing import Final, TypedDict

from cervix.slides.scoring import SlideSummary


class AnswerFacts(TypedDict):
    """Of one scored slide. Shares are 0 to 1 with the limits of their 95 % intervals; None without an answer."""

    verdict: str
    headline: str
    cancerous_share: float | None
    cancerous_low: float | None
    cancerous_high: float | None
    tiles: int
    unrecognised_tiles: int
    unread_tiles: int
    cancerous_tiles: int
    tissue_mm2: float
    scanner: str
    """Vendor of the scanner, as the file states it; empty where it does not."""
    spacing_um_px: float
    quality: str
    """What the quality gate warns of, as short words separated by commas; empty where nothing."""
    seen_share: float
    """Tiles scored of all tissue tiles: 1 but for a triage."""
    provider: str


COLUMNS: Final = tuple(AnswerFacts.__annotations__)


def facts_of(summary: SlideSummary, *, scanner: str, quality: str, planned_tiles: int) -> AnswerFacts:
    """The facts of a scored slide.

    Parameters
    ----------
    planned_tiles : int
        All tissue tiles of the slide; more than were scored where a triage stopped early.
    """
    answer, share = summary.answer, summary.answer.cancerous_share
    seen_tiles = answer.tiles + answer.unread_tiles if summary.triage is None else summary.triage.seen_tiles
    return AnswerFacts(
        verdict=answer.verdict,
        headline=answer.headline,
        cancerous_share=None if share is None else share.value,
        cancerous_low=None if share is None else share.low,
        cancerous_high=None if share is None else share.high,
        tiles=answer.tiles,
        unrecognised_tiles=answer.unrecognised_tiles,
        unread_tiles=answer.unread_tiles,
        cancerous_tiles=answer.cancerous_tiles,
        tissue_mm2=summary.tissue_area_mm2,
        scanner=scanner,
        spacing_um_px=summary.spacing_um_px,
        quality=quality,
        seen_share=seen_tiles / planned_tiles if planned_tiles else 1.0,
        provider=summary.provenance.provider,
    )
