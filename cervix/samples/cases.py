"""The case shelf: what the app offers for a try, in the order in which it is offered."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Literal

from cervix.patients.sample import sample_table_csv
from cervix.patients.sequences import DAYS_A_YEAR
from cervix.patients.visit_sample import sample_visits_csv
from cervix.samples.slides import SAMPLES, Sample
from cervix.slides.drawn.slides import TUNED, UNTUNED

DAY = re.compile(r"\b\d{4}-\d{2}-\d{2}\b")
FACTORS = "factors"
TABLES = Path(__file__).parent / "tables"
MADE_UP = "Made up by hand, after the published tables: no real woman. CC0."
GENERATED = "Generated from a fixed seed: no real women. CC0."
DRAWN = f"{TUNED} CC0."

Page = Literal["slide", "patient"]


@dataclass(frozen=True)
class Case:
    """One case of the shelf."""

    id: str
    """Stands in addresses: ``/slide?case=squamous``."""
    page: Page
    """Which page opens it."""
    title: str
    story: str
    """What it is, in one line."""
    look_at: str
    """What a visitor should look at, in one line."""
    made: str
    """How it was made, and its licence, in a few words."""
    credit: str
    """Who made it, from what, and its licence."""
    table: str = ""
    """For a case of women: its table in ``tables/``; empty for a generated one."""
    woman: str = ""
    """The pseudonym of the woman to open first; the first of the list where empty."""

    @property
    def sample(self) -> Sample:
        """The sample slide of a case for the page Slide; ``KeyError`` for another one."""
        return {sample.id: sample for sample in SAMPLES}[self.id]

    def table_csv(self, today: date | None = None) -> bytes:
        """The table of a case of women, as a file that somebody might bring: its last visit within the last twelve months.

        A step after a visit holds for a while only, so dates move on with the calendar, by whole years.
        """
        if self.id == FACTORS:
            return sample_table_csv().encode()
        content = (TABLES / self.table).read_text(encoding="utf-8") if self.table else sample_visits_csv()
        return _moved_on(content, today or datetime.now(UTC).date()).encode()


CASES: tuple[Case, ...] = (
    Case(
        "squamous",
        "slide",
        "Squamous-cell carcinoma",
        "Nests of crowded cells with keratin.",
        "how tiles light up, and the answer with its interval.",
        "Drawn · CC0",
        DRAWN,
    ),
    Case(
        "glandular",
        "slide",
        "Adenocarcinoma",
        "Crowded, irregular glands.",
        "one tile; Grad-CAM shows what in it spoke for the class.",
        "Drawn · CC0",
        DRAWN,
    ),
    Case(
        "normal",
        "slide",
        "Normal mucosa",
        "Squamous epithelium over glands.",
        "no carcinoma found, and the tiles in doubt.",
        "Drawn · CC0",
        DRAWN,
    ),
    Case(
        "mixed",
        "slide",
        "A focus of carcinoma",
        "Normal mucosa, and a carcinoma that grows into it.",
        "an honest “undecided”; the map shows where to look.",
        "Drawn · CC0",
        DRAWN,
    ),
    Case(
        "muscle",
        "slide",
        "Refused: another tissue",
        "Striated muscle.",
        "what the app does not say: no percentage, a grey map.",
        "Drawn · CC0",
        f"{UNTUNED} CC0.",
    ),
    Case(
        "rising",
        "patient",
        "A woman with rising risk",
        "HPV16 at three visits, and smears that grow worse.",
        "her course, and the visit that changed it most.",
        "Made up · CC0",
        MADE_UP,
        table="rising.csv",
        woman="RISING",
    ),
    Case(
        "treated",
        "patient",
        "A woman after treatment",
        "CIN3, treated by LEEP, then two negative cotests.",
        "the published step, one year, before the model's risk.",
        "Made up · CC0",
        MADE_UP,
        table="treated.csv",
        woman="TREATED",
    ),
    Case(
        "list",
        "patient",
        "A list of 40 women",
        "A screening list, ranked by risk.",
        "the threshold: who would be recalled?",
        "Generated · CC0",
        GENERATED,
    ),
    Case(
        FACTORS,
        "patient",
        "A table of risk factors",
        "60 patients, one row each, in the format of the UCI table.",
        "what drove each score, and how little is known.",
        "Generated · CC0",
        GENERATED,
    ),
)


def _moved_on(content: str, today: date) -> str:
    last = max(date.fromisoformat(day) for day in DAY.findall(content))
    # The same number of days for all, so that nothing changes between them.
    shift = timedelta(days=round((today - last).days // DAYS_A_YEAR * DAYS_A_YEAR))
    return DAY.sub(lambda day: (date.fromisoformat(day[0]) + shift).isoformat(), content)


@cache
def cases_by_id() -> dict[str, Case]:
    """Every case by its id."""
    return {case.id: case for case in CASES}
