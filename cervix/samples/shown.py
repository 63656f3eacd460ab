"""Pictures of the shelf: thumbnails of its cases, and a scored slide for the first page."""

import csv
import io
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from cervix.bundle import Bundle
from cervix.patients.visit_vocabulary import VISIT_DATE
from cervix.patients.vocabulary import PATIENT_ID
from cervix.samples.cases import FACTORS, Case
from cervix.samples.slides import DRAWN_FILES

HERO_SLIDE = "squamous"
HERO_PICTURE, HERO_FACTS = DRAWN_FILES / "scored.jpg", DRAWN_FILES / "scored.json"
WIDTH, HEIGHT, MARGIN = 480, 360, 36
ROWS_SHOWN = 14
# Okabe and Ito 2008: green for negative, orange for a finding, vermilion for a grave one, grey for none known.
NEGATIVE, FINDING, GRAVE, UNKNOWN = "#009E73", "#E69F00", "#D55E00", "#C3CDD2"
KNOWN = "#0072B2"
GRAVE_WORDS = frozenset({"HSIL", "ASC-H", "AGC", "CIN2", "CIN3", "AIS", "cancer"})
NEGATIVE_WORDS = frozenset({"NILM", "negative", "normal", "benign"})
IGNORED = frozenset({PATIENT_ID, VISIT_DATE, "age", "smoker"})


@dataclass(frozen=True)
class Hero:
    """A drawn slide as a bundle scored it: the first page's picture, and the answer that was given."""

    picture: Path
    headline: str
    tiles: str
    share: tuple[float, float, float]
    """Of cancerous tiles: value, and the limits of its 95 % interval."""
    class_tiles: dict[str, int]


def hero(bundle: Bundle) -> Hero | None:
    """The scored slide of the first page, where this bundle gave its answer; None for another bundle."""
    facts = json.loads(HERO_FACTS.read_text(encoding="utf-8"))
    if facts["bundle_sha256"] != bundle.sha256:
        return None
    value, low, high = facts["share"]
    return Hero(HERO_PICTURE, facts["headline"], facts["tiles"], (value, low, high), facts["classes"])


def thumbnail(case: Case) -> str:
    """A picture of a case: the path of a slide's, or a drawing of its table as SVG text."""
    if case.page == "slide":
        return str(DRAWN_FILES / f"{case.id}.jpg")
    return cells_svg(case.table_csv()) if case.id == FACTORS else visits_svg(case.table_csv())


def visits_svg(content: bytes) -> str:
    """Visits as dots, a row for each woman, time to the right, coloured by the gravest finding: what the file says."""
    women: dict[str, list[tuple[date, str]]] = {}
    for row in csv.DictReader(io.StringIO(content.decode())):
        found = {value for name, value in row.items() if name not in IGNORED and value}
        colour = GRAVE if found & GRAVE_WORDS else FINDING if found - NEGATIVE_WORDS else NEGATIVE if found else UNKNOWN
        women.setdefault(row[PATIENT_ID], []).append((date.fromisoformat(row[VISIT_DATE]), colour))
    rows = list(women.values())[:ROWS_SHOWN]
    days = [day for visits in rows for day, _ in visits]
    first, span = min(days), max(1, (max(days) - min(days)).days)
    step = (HEIGHT - 2 * MARGIN) / len(rows)
    radius = min(15.0, 0.32 * step)
    shapes = []
    for place, visits in enumerate(rows):
        y = f"{MARGIN + (place + 0.5) * step:.1f}"
        across = [f"{MARGIN + (WIDTH - 2 * MARGIN) * (day - first).days / span:.1f}" for day, _ in visits]
        shapes.append(f'<line x1="{across[0]}" y1="{y}" x2="{across[-1]}" y2="{y}" stroke="#7A8A92" stroke-width="2"/>')
        for x, (_, colour) in zip(across, visits, strict=True):
            shapes.append(f'<circle cx="{x}" cy="{y}" r="{radius:.1f}" fill="{colour}"/>')
    return _svg(shapes)


def cells_svg(content: bytes) -> str:
    """The cells of a table, one row a patient: dark where something is known, pale where nothing is."""
    rows = [row[1:] for row in csv.reader(io.StringIO(content.decode()))][1 : 1 + ROWS_SHOWN]
    across, down = (WIDTH - 2 * MARGIN) / len(rows[0]), (HEIGHT - 2 * MARGIN) / len(rows)
    return _svg(
        f'<rect x="{MARGIN + place * across:.1f}" y="{MARGIN + line * down:.1f}" width="{across - 2:.1f}" '
        f'height="{down - 2:.1f}" fill="{KNOWN if cell else UNKNOWN}"/>'
        for line, row in enumerate(rows)
        for place, cell in enumerate(row)
    )


def _svg(shapes: Iterable[str]) -> str:
    ground = f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#EEF4F4"/>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}">{ground}{"".join(shapes)}</svg>'
