"""Made-up pairs: drawn tumours in tables like TCGA's, and a tiny slide of each in a local archive."""

import re
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from cervix.slides.pyramid import write_pyramid
from tests.bundle.made import SHIPPED_CLASSES
from tests.bundle.made.tiles import SPACING_UM_PX, TILE_PX, centres_rgb, tissue_of
from tests.bundle.made.tumours import ANSWER, GATE, drawn_tumours
from tests.file_server import Archive
from training.cli import RECIPES_DIR
from training.molecular.data import FILES
from training.molecular_slide.pairs import GLANDULAR, SQUAMOUS

TERMS: Final = {SQUAMOUS: "Squamous cell carcinoma, NOS", GLANDULAR: "Adenocarcinoma, endocervical type"}
MARKERS: Final = (*ANSWER, *GATE)
TUMOURS, PAIRED, HOSPITALS = 72, 27, 9
BLUR_LOG2 = 5.0
"""Spread of what is added to every answering marker, so that microRNA alone is often wrong and a second witness helps."""
SIDE_TILES = 2
BY_ANOTHER_KIND = 2
"""Tiles of every fourth slide that look like the other kind."""
QUICK: Final = (
    ("molecular", r"repeats = \d+", "repeats = 1"),
    ("molecular", r"\nfolds = \d+", "\nfolds = 3"),
    ("molecular", r"marker_counts = .*", "marker_counts = [3]"),
    ("molecular", r"penalties = .*", "penalties = [0.3]"),
    ("molecular", r"\nmarkers = 20", "\nmarkers = 6"),
    ("molecular", r"(?<!\w)inner_folds = \d+", "inner_folds = 3"),
    ("molecular-slide", r"inner_folds = \d+", "inner_folds = 3"),
    ("molecular-slide", r"accepted_at_least = \d+", "accepted_at_least = 3"),
    ("molecular-slide", r"each_kind_at_least = \d+", "each_kind_at_least = 3"),
    ("molecular-slide", r"shuffles = \d+", "shuffles = 4"),
)
"""Recipe, what stands there, and what a test has the time for."""


def patient_of(number: int) -> str:
    """The barcode of a made tumour; its hospital is part of it."""
    return f"TCGA-H{number % HOSPITALS}-{number:04d}"


def write_omics(folder: Path) -> pd.DataFrame:
    """Tables of ``TUMOURS`` drawn tumours under ``folder``; returns the clinical one."""
    folder.mkdir()
    rpm, glandular = drawn_tumours()
    rpm[:, : len(ANSWER)] *= np.exp2(np.random.default_rng(1).normal(0, BLUR_LOG2, (len(rpm), len(ANSWER))))
    patients = [patient_of(number) for number in range(TUMOURS)]
    clinical = pd.DataFrame(
        {
            "patient": patients, "tss": [patient[5:7] for patient in patients], "histological_type": "drawn",
            "label": np.where(glandular[:TUMOURS], "glandular", "squamous"), "age": 50.0, "hpv_call_1": "hpv16",
        }
    )  # fmt: skip
    measured = pd.DataFrame(rpm[:TUMOURS], columns=list(MARKERS))
    measured["barcode"] = [f"{patient}-01A-11R-A123-13" for patient in patients]
    measured["patient"] = patients
    clinical.to_csv(folder / FILES[0], index=False)
    measured.to_csv(folder / FILES[1], index=False)
    for name in FILES[2:]:
        (folder / name).touch()
    return clinical


def write_quick_recipes(folder: Path) -> None:
    """The three recipes with fewer folds, choices and shuffles."""
    texts = {
        name: (RECIPES_DIR / f"{name}.toml").read_text(encoding="utf-8") for name in ("molecular", "molecular-slide", "cervix")
    }
    for name, slow, quick in QUICK:
        texts[name], count = re.subn(slow, quick, texts[name])
        assert count, slow
    for name, text in texts.items():
        (folder / f"{name}.toml").write_text(text, encoding="utf-8")


def made_slides(clinical: pd.DataFrame, folder: Path) -> dict[str, bytes]:
    """Patient -> a slide of ``SIDE_TILES`` squared tiles of its kind, for the first ``PAIRED``; every fourth is mixed."""
    kinds = [item.id for item in SHIPPED_CLASSES]
    tiles = {
        kind: tissue_of(centres_rgb(SHIPPED_CLASSES)[kinds.index(kind)], TILE_PX, TILE_PX) for kind in (SQUAMOUS, GLANDULAR)
    }
    shades = {}
    for kind, other in ((SQUAMOUS, GLANDULAR), (GLANDULAR, SQUAMOUS)):
        for mixed in (0, BY_ANOTHER_KIND):
            shown = [tiles[other]] * mixed + [tiles[kind]] * (SIDE_TILES**2 - mixed)
            rows = np.stack(shown).reshape(SIDE_TILES, SIDE_TILES, TILE_PX, TILE_PX, 3).transpose(0, 2, 1, 3, 4)
            path = folder / f"{kind}-{mixed}.tiff"
            write_pyramid(path, rows.reshape(SIDE_TILES * TILE_PX, SIDE_TILES * TILE_PX, 3), SPACING_UM_PX)
            shades[kind, mixed] = path.read_bytes()
    of_kind = clinical["label"].map({"squamous": SQUAMOUS, "glandular": GLANDULAR})
    return {
        patient: shades[kind, BY_ANOTHER_KIND * (number % 4 == 0)]
        for number, (patient, kind) in enumerate(zip(clinical["patient"][:PAIRED], of_kind[:PAIRED], strict=True))
    }


def fill(archive: Archive, clinical: pd.DataFrame, slides: dict[str, bytes]) -> None:
    """Put the slides into the archive, and one of a patient without microRNA."""
    terms = clinical.set_index("patient")["label"].map({"squamous": TERMS[SQUAMOUS], "glandular": TERMS[GLANDULAR]})
    for patient, content in slides.items():
        archive.add(patient, terms[patient], content=content)
    archive.add("TCGA-H0-9999", TERMS[SQUAMOUS])
