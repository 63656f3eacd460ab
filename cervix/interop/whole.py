"""What leaves for a hospital's systems rests on every tile of a slide: a triage stays here."""

from cervix.errors import SlideNotSuitable
from cervix.slides.scoring import SlideScore


def why_not_whole(score: SlideScore) -> str:
    """Why a score is not for a hospital's systems, in words; empty where every tile was scored."""
    if score.summary.triage is None:
        return ""
    return f"This is a triage: {score.summary.triage.words}. Score the rest first: other systems would not show the difference."


def require_whole(score: SlideScore) -> None:
    """Raise ``SlideNotSuitable`` for a triage."""
    if reason := why_not_whole(score):
        raise SlideNotSuitable("A triage is not for a hospital's systems", found=reason)
