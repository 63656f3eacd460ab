"""Models of the risk-factor table: a sum of what is known, and nothing for what is not."""

from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from onnx import TensorProto

from cervix.bundle.classes import ClassInfo
from cervix.bundle.manifest import Abstention, DerivedTask, FeatureEncoding, FeatureInput, Model, PublishedFigure, TrainingCost
from cervix.patients.encoding import encoding_named
from cervix.patients.reading import read_patients
from cervix.patients.sample import sample_table_csv
from cervix.patients.scoring import BIOPSY_TASK, feature_array
from cervix.patients.vocabulary import OTHER_TESTS, RISK_FACTORS
from tests.bundle.made.graph import Node, answers, graph, spec
from tests.bundle.made.whole import baselines, drawn_labels, model_of, sigmoid, table_of
from training.risk_factors.golden_table import golden_patients_csv
from training.shared.manifest_parts import add_probabilities, write_golden, write_golden_table

# What a unit adds to the log odds, and the value that leaves them as they are; for what is not named, those of its kind.
WEIGHTS: Final = {
    "Age": (0.02, 27.0), "Number of sexual partners": (0.1, 2.5), "First sexual intercourse": (-0.05, 17.0),
    "Num of pregnancies": (0.1, 2.0), "Smokes": (0.4, 0.15), "Dx:Cancer": (1.0, 0.02), "Dx:CIN": (0.8, 0.02),
    "Dx:HPV": (0.8, 0.02), "Hinselmann": (1.5, 0.04), "Schiller": (3.0, 0.09), "Citology": (1.2, 0.05),
}  # fmt: skip
BY_KIND: Final = {"yes-no": (0.3, 0.05), "number": (0.03, 1.0)}
PREVALENCE = 0.065
ANSWERS: Final = (
    ClassInfo(id="no", title="Negative", short="Negative", colour="#0072B2", role="benign"),
    ClassInfo(id="yes", title="Positive", short="Positive", colour="#D55E00", role="other"),
)


def write_table_model(root: Path, model_id: str, *, with_tests: bool) -> Model:
    """Write a model of risk factors, and of the other tests where wanted, and its files under ``root``."""
    encoding = encoding_named(column.name for column in (*RISK_FACTORS, *(OTHER_TESTS if with_tests else ())))
    names = [feature.name for feature in encoding]
    inputs, outputs = [spec("features", 1, len(names))], [spec("risk"), spec("logit"), spec("known_share")]
    network = graph(_NODES, _constants(encoding), inputs, outputs)
    rows = {"features": feature_array(read_patients(sample_table_csv(16).encode()).frame, names)}
    write_golden(root / model_id / "golden.npz", rows, {"fp32": answers(network, rows)})
    golden_table = write_golden_table(
        root, model_id, golden_patients_csv(), encoding, lambda arrays: answers(network, arrays), one_row=True
    )
    published = [
        PublishedFigure(metric="accuracy", value=0.945, task=BIOPSY_TASK, source="Nobody's paper"),
        PublishedFigure(metric="f1", value=0.937, task=BIOPSY_TASK, source="Nobody's paper"),
    ]
    return model_of(
        root, model_id, network, {"fp32": "cpu"}, _predictions(),
        kind="table", title=f"Risk of a positive biopsy from risk factors{' and other tests' if with_tests else ' alone'}",
        short="With other tests" if with_tests else "Risk factors only", inputs=inputs, outputs=outputs, classes=list(ANSWERS),
        derived_tasks=[DerivedTask(id=BIOPSY_TASK, title="Biopsy positive", positive=["yes"], negative=["no"])],
        thresholds={BIOPSY_TASK: 0.07},
        features=FeatureInput(
            encoding=encoding, visits=1, gaps="none", golden_table=golden_table,
            steps_in_graph=["what is not known counts for nothing"],
        ),
        training_cost=TrainingCost(
            wall_seconds=648.0, hardware="a machine", assumed_watts=20.0, assumption="made so", covers="everything"
        ),
        abstention=[Abstention(output="known_share", limit=0.5, chosen_by="made so")],
        evaluation={
            "baselines": baselines(always_no="Always no", logistic="Logistic regression on the same inputs"),
            "published": published, "tables": [_leakage(root, model_id)],
        },
    )  # fmt: skip


_NODES: Final[list[Node]] = [
    ("IsNaN", ["features"], "missing", {}), ("Not", ["missing"], "known", {}),
    ("Cast", ["known"], "known_number", {"to": TensorProto.FLOAT}),
    ("ReduceMean", ["known_number", "all_axes"], "known_share", {"keepdims": 0}),
    ("Where", ["missing", "usual", "features"], "filled", {}), ("Sub", ["filled", "usual"], "unusual", {}),
    ("Mul", ["unusual", "weights"], "added", {}), ("ReduceSum", ["added", "all_axes"], "sum", {"keepdims": 0}),
    ("Add", ["sum", "bias"], "logit", {}), ("Sigmoid", ["logit"], "risk", {}),
]  # fmt: skip


def _constants(encoding: list[FeatureEncoding]) -> dict[str, Any]:
    told = np.array([WEIGHTS.get(feature.name, BY_KIND.get(feature.kind)) for feature in encoding])
    bias = np.log(PREVALENCE / (1 - PREVALENCE))
    return {"weights": told[:, 0], "usual": told[:, 1], "bias": bias, "all_axes": np.int64([1, 2])}


def _predictions(count: int = 166) -> pd.DataFrame:
    """Held-out patients whose biopsies are drawn from the model's own answers."""
    rng = np.random.default_rng(5)
    odds = rng.normal(-3.0, 1.2, count)
    labels = drawn_labels(rng, ANSWERS, np.stack([1 - sigmoid(odds), sigmoid(odds)], axis=1))
    numbers = [str(at) for at in range(count)]
    frame = pd.DataFrame({"case": numbers, "group": numbers, "label": labels})
    rivals: dict[str, NDArray[np.floating]] = {
        "p_": sigmoid(odds), "always-no__p_": np.full(count, PREVALENCE),
        "logistic__p_": sigmoid(odds + 1.5 + rng.normal(0, 1, count)),
    }  # fmt: skip
    for prefix, risk in rivals.items():
        add_probabilities(frame, prefix, ["no", "yes"], np.stack([1 - risk, risk], axis=1))
    return frame.assign(by_age=rng.choice(["30 and over", "under 30"], count))


def _leakage(root: Path, model_id: str) -> Any:
    rows = [
        {"protocol": "Honest", "leaked": "no", "AUROC": "0.660 (0.576–0.736)", "n": "166 rows"},
        {"protocol": "Copies before the split", "leaked": "LEAKED", "AUROC": "0.990 (0.980–0.995)", "n": "166 rows"},
    ]
    return table_of(root, model_id, "leakage", "How 0.99 arises", rows)
