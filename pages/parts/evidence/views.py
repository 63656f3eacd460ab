"""The tabs below the summary, and which of them a model has."""

from collections.abc import Callable
from dataclasses import dataclass

from cervix.bundle import Bundle, Model
from cervix.evaluation import leakage
from cervix.evaluation.left_out import left_out_table
from pages.parts.evidence.card import show_card
from pages.parts.evidence.held_out import show_calibration, show_rivals, show_subgroups, show_threshold
from pages.parts.evidence.own_cases import BROUGHT, show_own_cases
from pages.parts.evidence.side_by_side import show_models
from pages.parts.evidence.tables import ELSEWHERE
from pages.parts.evidence.training import show_leakage, show_training
from pages.parts.evidence.world import show_world


@dataclass(frozen=True)
class View:
    """A tab: what it is called, and what draws it for a model."""

    title: str
    show: Callable[[Bundle, Model], None]


def views_of(model: Model) -> dict[str, View]:
    """The tabs that have something to show of a model, by their id in the address, in order."""
    evaluation = model.evaluation
    has = {
        **dict.fromkeys(("threshold", "calibration", "rivals"), evaluation is not None),
        "subgroups": evaluation is not None and bool(evaluation.subgroups),
        "world": left_out_table(model) is not None
        or (evaluation is not None and bool(evaluation.published_risks))
        or any(table.id in ELSEWHERE for table in model.tables),
        "leakage": any(table.id == leakage.TABLE for table in model.tables),
        # A string here would be shown on the page.
        "own": model.kind in BROUGHT,
    }
    views = {
        "threshold": View("At a threshold", show_threshold),
        "calibration": View("Calibration", show_calibration),
        "subgroups": View("Subgroups", show_subgroups),
        "rivals": View("Rivals", show_rivals),
        "world": View("Against the real world", show_world),
        "training": View("How it was trained", show_training),
        "leakage": View("How 0.99 arises", show_leakage),
        "models": View("All models", show_models),
        "card": View("Card and downloads", show_card),
        "own": View("Your own cases", show_own_cases),
    }
    return {name: view for name, view in views.items() if has.get(name, True)}
