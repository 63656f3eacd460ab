"""The labelled slides that are brought with a head: the file ``slides.csv``, and each slide as the tile model sees it.

Its columns are ``path`` (from the folder of the file), ``label`` (id of a class of the head), ``group`` (what must not be on
two sides of a split: the patient), ``split`` (``validation`` or ``test``) and, where a file states none, ``spacing_um_px``.
Messages name rows, not paths: a path may hold a name.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cervix.bundle import Bundle
from cervix.bundle.head_contract import EMBEDDINGS, POSITIONS
from cervix.bundle.sessions import Arrays
from cervix.errors import CervixError
from cervix.slides.decision import recognised_tiles
from cervix.slides.gate import plan_through_the_gate
from cervix.slides.head import tile_centres_um
from cervix.slides.rows import EMBEDDING
from cervix.slides.scoring import whole_score
from cervix.slides.tile_run import Controls, TileRun
from cervix.sources.probe import open_outside
from training.data.splits import check_no_leak
from training.shared.stages import Log
from training.wrap.listed import TEST, VALIDATION, list_of, place_of, require_values, rows_in_words
from training.wrap.refusal import WrapRefused

COLUMNS = ("path", "label", "group", "split")
SPACING = "spacing_um_px"
WHAT = "slides"


@dataclass(frozen=True)
class LabelledSlides:
    """Slides that the tile model answers, none of which the head learned from.

    Attributes
    ----------
    arrays : (n,) what the head reads of each: embeddings and positions of its accepted tiles
    share : (n,) of these tiles, called cancerous: what the slide rule goes by
    labels, groups, split, cases : (n,)
    """

    arrays: list[Arrays]
    share: NDArray[np.float64]
    labels: NDArray[np.str_]
    groups: NDArray[np.str_]
    split: NDArray[np.str_]
    cases: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.labels)

    def of(self, split: str) -> "LabelledSlides":
        """The slides of one split, in their order."""
        at = np.flatnonzero(self.split == split)
        return LabelledSlides(
            [self.arrays[place] for place in at],
            self.share[at],
            self.labels[at],
            self.groups[at],
            self.split[at],
            self.cases[at],
        )


def read_slides(path: Path, classes: Sequence[str], bundle: Bundle, fewest_groups: int, log: Log) -> LabelledSlides:
    """Read the list, then every slide by the tile model of a bundle.

    Parameters
    ----------
    classes : ids of the head's classes
    fewest_groups : of each class in each split, of slides that have an answer

    Raises
    ------
    WrapRefused
        A column, class or split that is missing; too few groups; a slide that cannot be read, or the same on both sides.
    LeakError
        A group on both sides.
    """
    table = list_of(path, COLUMNS, WHAT)
    require_values(table, {"label": classes, "split": (VALIDATION, TEST)}, WHAT)
    # A group is often a patient: from here on it is named by its first row.
    table["group"] = "group of row " + table.groupby("group")["row"].transform("min").astype(str)
    check_no_leak(table["split"].to_numpy(str), table["group"].to_numpy(str))
    seen: dict[str, int] = {}
    kept, arrays, share, silent = [], [], [], []
    for row in table.itertuples():
        number = int(str(row.row))
        one = _seen(place_of(path.parent, str(row.path), number, WHAT), str(getattr(row, SPACING, "")), bundle, number)
        if (before := seen.setdefault(one.sha256, number)) != number:
            raise WrapRefused(
                "A slide stands twice in the list", expected="each slide once", found=f"rows {before} and {number}"
            )
        log(
            f"slide of row {number}: {len(one.arrays[EMBEDDINGS]):,} accepted tiles" + ("" if one.has_answer else ", no answer")
        )
        if one.has_answer:
            kept.append(row.Index)
            arrays.append(one.arrays)
            share.append(one.share)
        else:
            silent.append(number)
    if silent:
        log(f"{len(silent)} slides have no answer by the rule, so no head is asked about them: {rows_in_words(silent)}.")
    table = table.loc[kept]
    _check_groups(table, classes, fewest_groups)
    return LabelledSlides(
        arrays, np.array(share, np.float64), table["label"].to_numpy(str), table["group"].to_numpy(str),
        table["split"].to_numpy(str), np.array([f"row {number}" for number in table["row"]]),
    )  # fmt: skip


@dataclass(frozen=True)
class _Seen:
    sha256: str
    has_answer: bool
    share: float
    arrays: Arrays


def _seen(path: Path, spacing: str, bundle: Bundle, row: int) -> _Seen:
    """One slide as the app scores it, with the embeddings that a head would be given."""
    try:
        slide = open_outside(path, spacing_um_px=_number(spacing, row) if spacing.strip() else None)
        plan, _ = plan_through_the_gate(slide, bundle)
        run = TileRun(slide, bundle, plan.grid, None, Controls(), embedding=True)
        run.score(np.arange(len(plan.grid)), lambda: None)
        score = whole_score(run, plan, bundle, run.started, planned_before=True)
    except CervixError as error:
        raise WrapRefused(
            f"The slide of row {row} cannot be scored", expected="a slide that the tile model answers", found=error.problem,
            action="Take it off the list, or bring a slide that the app scores.",
        ) from error  # fmt: skip
    given = np.flatnonzero(recognised_tiles(score.tiles, bundle.session_of("tile").model))
    answer = score.summary.answer
    arrays: Arrays = {
        EMBEDDINGS: run.rows[EMBEDDING][given].astype(np.float32),
        POSITIONS: tile_centres_um(score.tiles.iloc[given], slide.known_spacing_um_px),
    }
    has_answer = not answer.abstained and bool(len(given))
    return _Seen(
        slide.sha256, has_answer, answer.cancerous_share.value if has_answer and answer.cancerous_share else np.nan, arrays
    )


def _number(text: str, row: int) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value < np.inf:
        raise WrapRefused("A spacing is none", expected="micrometres per pixel, above 0", found=f"another thing in row {row}")
    return value


def _check_groups(table: pd.DataFrame, classes: Sequence[str], fewest: int) -> None:
    groups = table.groupby(["split", "label"])["group"].nunique()
    splits = [VALIDATION, *([TEST] if (table["split"] == TEST).any() else [])]
    few = [
        f"{groups.get((split, label), 0)} of {label} in {split}"
        for split in splits
        for label in classes
        if groups.get((split, label), 0) < fewest
    ]
    if few:
        of_each = f"slides with an answer of at least {fewest} groups of each class"
        raise WrapRefused(
            "A class has too few groups to be fitted or measured",
            expected=f"{of_each} in {VALIDATION} and, where there are any, in {TEST}",
            found=", ".join(few),
            action="Add slides of other patients.",
        )
