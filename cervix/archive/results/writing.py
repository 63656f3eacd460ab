"""Everything that a run has found, written into its folder ``summary/``; called again, only what is new is worked out."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pandas as pd
from pydantic import ValidationError

from cervix.archive.results.answers import ANSWERS_NAME, answers_table, read_answers, write_answers
from cervix.archive.results.drift import drift_table, held_out_shares
from cervix.archive.results.summary import RunSummary, summarise
from cervix.archive.results.tiles import TILES_DIR_NAME, write_tiles
from cervix.archive.results.words import summary_markdown
from cervix.archive.runs import BUNDLE_NAME, SUMMARY_DIR_NAME, read_order
from cervix.bundle.loading import read_manifest
from cervix.bundle.manifest import Model
from cervix.bundle.tables import read_predictions
from cervix.errors import ArchiveRunRefused
from cervix.files import inert, replacing

SUMMARY_NAME: Final = "summary.json"
WORDS_NAME: Final = "summary.md"
DRIFT_NAME: Final = "drift.csv"


@dataclass(frozen=True)
class Written:
    """What ``write_results`` made."""

    folder: Path
    summary: RunSummary
    drift: pd.DataFrame
    parts: int
    """Slides whose tiles were written now."""
    gone: int
    """Scored slides whose files are gone from the results."""


def write_results(out: Path, *, tiles: bool = True, on_progress: Callable[[int, int], None] | None = None) -> Written:
    """Write answers, tiles, summary and drift of a run, whether or not it has ended.

    Parameters
    ----------
    out : Path
        Folder of the run.
    tiles : bool
        Whether to write the tiles of every slide too, which is by far the most.
    on_progress : (slides, of slides) -> None
        Of the tiles.

    Raises
    ------
    ArchiveRunRefused
        Where there is no run in the folder.
    BundleError
        Where the run's own copy of its bundle cannot be read.
    """
    order = read_order(out)
    if order is None:
        raise ArchiveRunRefused(
            "There is no run in this folder",
            expected="the folder that a run was written to",
            action="Name the folder of --out.",
        )
    root = out / BUNDLE_NAME
    model = _tile_model(root)
    folder = out / SUMMARY_DIR_NAME
    answers = answers_table(out, order, model.class_ids, read_answers(folder / ANSWERS_NAME), model.notice)
    write_answers(answers, folder / ANSWERS_NAME)
    parts, gone = write_tiles(out, order, model, folder / TILES_DIR_NAME, on_progress) if tiles else (0, 0)
    summary = summarise(answers, order, model.notice)
    held_out = held_out_shares(read_predictions(root, model.evaluation.predictions), model) if model.evaluation else {}
    drift = drift_table(answers[answers["state"] == "done"], model, held_out)
    for name, content in (
        (DRIFT_NAME, inert(drift.assign(bundle=summary.bundle, notice=summary.notice)).to_csv(index=False)),
        (WORDS_NAME, summary_markdown(summary, drift)),
        (SUMMARY_NAME, summary.model_dump_json(indent=2)),
    ):
        with replacing(folder / name) as temporary:
            temporary.write_text(content, encoding="utf-8")
    return Written(folder, summary, drift, parts, gone)


def written_summary(out: Path) -> tuple[RunSummary, pd.DataFrame] | None:
    """Summary and drift as they were last written; None where they were not, or not whole."""
    folder = out / SUMMARY_DIR_NAME
    try:
        summary = RunSummary.model_validate_json((folder / SUMMARY_NAME).read_bytes())
        return summary, pd.read_csv(folder / DRIFT_NAME, keep_default_na=False, na_values=[""], dtype={"group": "string"})
    except (OSError, ValueError, ValidationError):
        return None


def _tile_model(root: Path) -> Model:
    manifest, _ = read_manifest(root)
    models = manifest.of_kind("tile")
    if not models:
        raise ArchiveRunRefused("The bundle of this run has no model that reads slides", action="Score with another bundle.")
    return models[0]
