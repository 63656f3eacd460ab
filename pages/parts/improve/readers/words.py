"""Answers of the label store in words."""

from collections.abc import Mapping

from pages.parts.shared.frame import class_title

ACTIONS = {"unsure": "Unsure", "unusable": "Unusable", "skip": "Skipped", "undo": "Undone"}


def said_words(action: str, label: str | None) -> str:
    """What somebody said of a case."""
    title = class_title(label) if isinstance(label, str) else ACTIONS["unusable"]
    if action == "adjudicate":
        return f"Settled: {title}"
    return ACTIONS.get(action, title)


def counted_words(counts: Mapping[str, int]) -> str:
    """How many said what, the most common first; answers without a class by their action."""
    ranked = sorted(counts.items(), key=lambda item: -item[1])
    return ", ".join(f"{count} × {ACTIONS.get(said) or class_title(said)}" for said, count in ranked)
