"""One row a slide, as the list shows it."""

from pathlib import PurePosixPath
from typing import Any

import pandas as pd
import streamlit as st

from cervix.archive.results.summary import VERDICTS
from cervix.archive.thumbnails import thumbnail_address, thumbnail_of
from cervix.archive.viewing import lies_here
from cervix.intake.shelf import thumbnail_path
from cervix.settings import get_settings

ROW_PX = 52
STATES = {
    "waiting": "Waiting",
    "running": "In hand",
    "refused": "Not scored",
    "quarantined": "Set aside",
    "duplicate": "Seen twice",
}
COLUMNS: dict[str, Any] = {
    "Picture": st.column_config.ImageColumn("", width=64),
    "Answer": st.column_config.TextColumn(width=190),
    "Cancerous tiles": st.column_config.TextColumn(
        width=150, help="Of the tiles counted, with the 95 % interval of the share."
    ),
    "Tiles": st.column_config.NumberColumn(width=70, format="localized"),
    "Not recognised": st.column_config.TextColumn(width=125, help="Share of the scored tiles."),
    "Slide": st.column_config.TextColumn(width="medium"),
    "Site": st.column_config.TextColumn(width="small"),
    "Day": st.column_config.TextColumn(width=95),
    "Scanner": st.column_config.TextColumn(width=115),
    "Notes": st.column_config.TextColumn(width="large", help="Warnings of quality, or why the slide was not scored."),
}


def table_of(rows: list[dict[str, Any]]) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    """The rows as they are shown, and those whose picture is not made yet."""
    settings = get_settings()
    shown, missing = [], []
    for row in rows:
        sha256 = row["slide_sha256"]
        picture = None
        if sha256:
            kept = thumbnail_of(settings.results_dir, sha256)
            picture = thumbnail_address(kept) or thumbnail_address(thumbnail_path(settings.shelf_dir, sha256))
            if picture is None and lies_here(row["locator"]):
                missing.append(row)
        shown.append(_shown(row) | {"Picture": picture})
    return pd.DataFrame(shown, columns=list(COLUMNS)), missing


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    is_scored, tiles = row["state"] == "done", row["tiles"] or 0
    triage = f"triage, {row['seen_share']:.0%} seen" if is_scored and (row["seen_share"] or 1) < 1 else ""
    notes = [row["quality"] or "", triage] if is_scored else [row["reason"] or ""]
    return {
        "Answer": _answer(row) if is_scored else STATES.get(row["state"], row["state"]),
        "Cancerous tiles": _percent(row) if is_scored else "",
        "Tiles": tiles if is_scored else None,
        "Not recognised": f"{100 * row['unrecognised_tiles'] / tiles:.0f} %" if is_scored and tiles else "",
        "Slide": name_of(row),
        "Site": row["site"],
        "Day": row["day"],
        "Scanner": row["scanner"] or "",
        "Notes": " · ".join(note for note in notes if note),
    }


def _answer(row: dict[str, Any]) -> str:
    """The kind of carcinoma where one is called; the rest in the words of the choice above the list."""
    return str(row["headline"]) if row["verdict"] == "cancer" else VERDICTS.get(row["verdict"], str(row["headline"]))


def _percent(row: dict[str, Any]) -> str:
    if row["cancerous_share"] is None or row["verdict"] == "abstained":
        return "no answer"
    value, low, high = (100 * row[f"cancerous_{name}"] for name in ("share", "low", "high"))
    return f"{value:.0f} % ({low:.0f}–{high:.0f})"


def name_of(row: dict[str, Any]) -> str:
    """What a slide is called in the list: the last part of where it lies."""
    return PurePosixPath(row["locator"]).name
