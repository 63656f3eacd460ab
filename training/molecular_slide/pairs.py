"""Which slides and tumours belong to one patient, and whether there are enough of them."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cervix.errors import CervixError
from training.data.tissue.collecting import CLASSES, Archive, ListedSlide
from training.molecular.data import FILES, PATIENT_CODE, SAMPLE_CODE, TUMOUR, Cohort

SQUAMOUS, GLANDULAR = CLASSES
NO_TUMOUR = "no microRNA of a squamous or glandular tumour of this patient"
OTHER_KIND = "the table of tumours names another kind than the archive"
MORE_SLIDES = "Ask for more slides with --limit, or leave it out."


class PairsRefused(CervixError, ValueError, code="pairs-refused"):
    """Raised when slides and tumours do not make pairs from which anything can be measured."""


def kinds_of(cohort: Cohort) -> dict[str, str]:
    """Patient's barcode -> class, by the pathology report in the table of tumours."""
    kinds = np.where(cohort.glandular, GLANDULAR, SQUAMOUS)
    return dict(zip(cohort.patients.tolist(), kinds.tolist(), strict=True))


def require_each_once(folder: Path) -> None:
    """Refuse tables in which a patient has two tumours or two rows, or a tumour nobody described.

    Raises
    ------
    PairsRefused
        Names rows of the table and no patient. A table that is not there is for ``load_cohort`` to refuse.
    """
    clinical, measured = (folder / name for name in FILES[:2])
    if not (clinical.is_file() and measured.is_file()):
        return
    described = pd.read_csv(clinical, usecols=["patient"])["patient"]
    barcodes = pd.read_csv(measured, usecols=["barcode"])["barcode"]
    tumours = barcodes[barcodes.str[SAMPLE_CODE] == TUMOUR].str[PATIENT_CODE]
    for name, patients in ((clinical.name, described), (measured.name, tumours)):
        if (twice := patients.duplicated(keep=False)).any():
            raise PairsRefused(
                f"A patient stands in {name} twice", expected="one tumour a patient", found=f"lines {_lines(patients[twice])}",
                action="Keep one of them.",
            )  # fmt: skip
    if (alone := ~tumours.isin(described)).any():
        raise PairsRefused(
            f"Tumours of {measured.name} are not in {clinical.name}", expected="a row for every patient",
            found=f"lines {_lines(tumours[alone])} without one",
        )  # fmt: skip


def require_enough(learned: NDArray[np.bool_], each_kind_at_least: int) -> None:
    """Refuse a fold whose training pairs ``(k,)``, glandular or not, are too few to join anything by.

    Raises
    ------
    PairsRefused
    """
    fewest = min(int(learned.sum()), int((~learned).sum()))
    if fewest < each_kind_at_least:
        raise PairsRefused(
            "The training hospitals of a fold have too few pairs of a kind",
            expected=f"at least {each_kind_at_least} of each kind", found=str(fewest), action=MORE_SLIDES,
        )  # fmt: skip


def _lines(rows: "pd.Series[str]") -> str:
    """Lines of the file as an editor counts them, at most five."""
    shown = ", ".join(str(int(row) + 2) for row in rows.index[:5])
    return shown if len(rows) <= 5 else f"{shown} and {len(rows) - 5} more"


class PairedSlides:
    """An ``Archive`` of those slides of another one whose patient has a tumour in the table, of the same kind.

    Parameters
    ----------
    archive : where the slides are
    kinds : patient's barcode -> class
    """

    def __init__(self, archive: Archive, kinds: Mapping[str, str]) -> None:
        self.title = archive.title
        self._archive, self._kinds = archive, kinds

    def listed(self) -> list[ListedSlide]:
        """Every slide of the archive; those that make no pair have a reason in place of a label.

        Raises
        ------
        PairsRefused
            If none makes a pair.
        """
        slides = [self._judged(slide) for slide in self._archive.listed()]
        if slides and not any(slide.label for slide in slides):
            reasons = Counter(slide.reason for slide in slides).most_common()
            raise PairsRefused(
                "There is not one pair of a slide and a tumour", expected=f"slides of patients in {FILES[1]}",
                found="; ".join(f"{count} × {reason}" for reason, count in reasons),
                action="Check that project and tables are of the same patients.",
            )  # fmt: skip
        return slides

    def _judged(self, slide: ListedSlide) -> ListedSlide:
        kind = self._kinds.get(slide.source_group[PATIENT_CODE])
        if slide.label and kind is None:
            return replace(slide, label="", reason=NO_TUMOUR)
        if slide.label and kind != slide.label:
            return replace(slide, label="", reason=OTHER_KIND)
        return slide

    def opened_by(self, slide: ListedSlide, folder: Path) -> str:
        return self._archive.opened_by(slide, folder)

    def arrived_bytes(self, slide: ListedSlide, folder: Path) -> int:
        return self._archive.arrived_bytes(slide, folder)

    def fetch(self, slide: ListedSlide, folder: Path, which: str) -> None:
        self._archive.fetch(slide, folder, which)


def places_of(patients: list[str], cohort: Cohort) -> NDArray[np.intp]:
    """Where in the cohort each of these patients stands."""
    place = {patient: number for number, patient in enumerate(cohort.patients.tolist())}
    return np.array([place[patient[PATIENT_CODE]] for patient in patients], np.intp)
