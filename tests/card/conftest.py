"""The card of the made bundle, written once for every test of it."""

import io
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pypdf
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from cervix.bundle import Bundle, Model
from cervix.bundle.manifest import DerivedTask
from cervix.card.blocks import Block
from cervix.card.html import card_html
from cervix.card.markdown import card_blocks, with_front_matter
from cervix.card.pdf import write_card_pdf

QUESTIONS = [
    ("slide", "cancerous"),
    ("slide", "scc-versus-ac"),
    ("history", "cin2-3y"),
    ("history", "cin3-5y"),
    ("hybrid", "cin2-at-biopsy"),
    ("risk-factors", "biopsy"),
    ("risk-factors-with-tests", "biopsy"),
]
# Where a publication answers a model's question, that one; else the first.
MAIN_QUESTIONS = [question for question in QUESTIONS if question not in (("slide", "cancerous"), ("history", "cin3-5y"))]


@dataclass(frozen=True)
class Truth:
    """Figures of one question, by scikit-learn and by counting, without any code of the library."""

    model: Model
    task: DerivedTask
    n: int
    auroc: float
    average_precision: float
    sensitivity: float
    specificity: float
    brier: float

    @property
    def percent(self) -> str:
        """Sensitivity as the card writes it."""
        return f"{self.sensitivity * 100:.1f} %"


def truth_of(bundle: Bundle, model_id: str, task_id: str) -> Truth:
    """Computed from the parquet file and what the manifest says of question and threshold."""
    model = next(model for model in bundle.manifest.models if model.id == model_id)
    task = next(task for task in model.derived_tasks if task.id == task_id)
    threshold = next(item.value for item in model.thresholds if item.task == task_id)
    rows = pd.read_parquet(bundle.root / model.measured.predictions)
    rows = rows[rows["label"].isin([*task.positive, *task.negative])]
    yes = sum(rows[f"p_{label}"].astype(float) for label in task.positive)
    no = sum(rows[f"p_{label}"].astype(float) for label in task.negative)
    score, positive = yes / (yes + no), rows["label"].isin(task.positive)
    return Truth(
        model,
        task,
        len(rows),
        float(roc_auc_score(positive, score)),
        float(average_precision_score(positive, score)),
        float((score[positive] >= threshold).mean()),
        float((score[~positive] < threshold).mean()),
        float(((score - positive) ** 2).mean()),
    )


@pytest.fixture(scope="session", params=QUESTIONS, ids="/".join)
def truth(bundle: Bundle, request: pytest.FixtureRequest) -> Truth:
    return truth_of(bundle, *request.param)


@pytest.fixture(scope="session", params=MAIN_QUESTIONS, ids="/".join)
def main_truth(bundle: Bundle, request: pytest.FixtureRequest) -> Truth:
    """Of the question that the card draws."""
    return truth_of(bundle, *request.param)


@pytest.fixture(scope="session")
def blocks(bundle: Bundle) -> list[Block]:
    return list(card_blocks(bundle))


@pytest.fixture(scope="session")
def card(bundle: Bundle, blocks: list[Block]) -> str:
    return with_front_matter(bundle, blocks)


@pytest.fixture(scope="session")
def page(blocks: list[Block]) -> str:
    """The card as HTML."""
    return card_html(blocks, "Model card")


@pytest.fixture(scope="session")
def pdf(bundle: Bundle, blocks: list[Block], tmp_path_factory: pytest.TempPathFactory) -> pypdf.PdfReader:
    path: Path = tmp_path_factory.mktemp("card") / "card.pdf"
    write_card_pdf(blocks, path, footer=bundle.label)
    return pypdf.PdfReader(io.BytesIO(path.read_bytes()))


@pytest.fixture(scope="session")
def pdf_text(pdf: pypdf.PdfReader) -> str:
    """The PDF's text with every run of blanks as one."""
    return " ".join(" ".join(sheet.extract_text() for sheet in pdf.pages).split())
