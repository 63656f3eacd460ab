"""Small models of women from elsewhere: what skl2onnx and onnxmltools write of them, rows, outcomes and their owner's words."""

import io
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import onnx
import onnxmltools
import pandas as pd
import xgboost
from numpy.typing import NDArray
from onnxmltools.convert.common.data_types import FloatTensorType
from skl2onnx import to_onnx
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from cervix.patients.reading import read_patients
from cervix.patients.sample import sample_table_csv
from cervix.patients.vocabulary import PATIENT_ID
from tests.training.wrap.made import about as about_tiles

COLUMNS = ["Age", "Number of sexual partners", "Num of pregnancies", "Smokes", "IUD", "Dx:HPV"]
ANSWERS = [
    {"id": "no", "title": "Negative", "short": "Negative", "colour": "#0072B2", "role": "benign"},
    {"id": "yes", "title": "Positive", "short": "Positive", "colour": "#D55E00", "role": "other"},
]
WOMEN = 400


def risk_rows(women: int = WOMEN) -> tuple[pd.DataFrame, NDArray[np.bool_]]:
    """A risk-factor table as people bring it, and drawn outcomes that age and partners tell something of."""
    table = pd.read_csv(io.StringIO(sample_table_csv(women)), dtype=str, keep_default_na=False)
    table[PATIENT_ID] = [f"P-{at:04d}" for at in range(len(table))]
    rng = np.random.default_rng(8)
    table["Age"] = rng.integers(15, 80, len(table)).astype(str)
    odds = (table["Age"].astype(float) - 45) / 10
    return table, rng.random(len(table)) < 1 / (1 + np.exp(-odds.to_numpy()))


def values_of(table: pd.DataFrame, columns: list[str] | None = None) -> NDArray[np.float32]:
    """What the app makes of its cells ``(n, columns)``."""
    return read_patients(table.to_csv(index=False).encode()).frame[columns or COLUMNS].to_numpy(np.float32)


def fitted_pipeline(values: NDArray[np.float32], positive: NDArray[np.bool_]) -> Pipeline:
    pipeline = make_pipeline(SimpleImputer(strategy="median"), StandardScaler(), LogisticRegression())
    return pipeline.fit(values, positive.astype(int))


def onnx_of_sklearn(model: Any, columns: int, **options: Any) -> onnx.ModelProto:
    return to_onnx(model, np.zeros((1, columns), np.float32), options={"zipmap": False, **options}, target_opset=18)


def fitted_boosting(values: NDArray[np.float32], outcome: NDArray[np.integer | np.bool_]) -> lightgbm.LGBMClassifier:
    return lightgbm.LGBMClassifier(
        n_estimators=12, num_leaves=4, min_child_samples=5, verbose=-1, n_jobs=1, deterministic=True, random_state=0
    ).fit(values, np.asarray(outcome, int))  # fmt: skip


def onnx_of_lightgbm(model: Any, columns: int, *, zipmap: bool = False) -> onnx.ModelProto:
    types = [("row", FloatTensorType([None, columns]))]
    return onnxmltools.convert_lightgbm(model, initial_types=types, zipmap=zipmap, target_opset=15)


def fitted_xgboost(values: NDArray[np.float32], outcome: NDArray[np.integer | np.bool_]) -> xgboost.XGBClassifier:
    return xgboost.XGBClassifier(n_estimators=12, max_depth=3, n_jobs=1, random_state=0).fit(values, np.asarray(outcome, int))


def onnx_of_xgboost(model: Any, columns: int) -> onnx.ModelProto:
    return onnxmltools.convert_xgboost(model, initial_types=[("row", FloatTensorType([None, columns]))], target_opset=15)


def outcomes_of(ids: list[str], labels: list[str]) -> pd.DataFrame:
    """Every other woman in either split."""
    split = np.where(np.arange(len(ids)) % 2, "test", "validation")
    return pd.DataFrame({PATIENT_ID: ids, "label": labels, "split": split})


def about_table(**changes: Any) -> dict[str, Any]:
    """What ``about.toml`` says of a table model, as Python has it; a change at ``input.fill`` is given as ``input__fill``."""
    said = about_tiles() | {
        "kind": "table",
        "classes": ANSWERS,
        "questions": [{"id": "biopsy", "title": "Biopsy positive", "positive": ["yes"], "negative": ["no"]}],
        "input": {"columns": COLUMNS},
        "output": {"gives": "probability"},
    }
    del said["fit"]
    said["model"] = said["model"] | {"title": "A model of risk factors", "short": "Elsewhere"}
    for key, value in changes.items():
        *tables, name = key.split("__")
        place = said
        for table in tables:
            place = place.setdefault(table, {})
        place[name] = value
    return said


def write_rows(folder: Path, table: pd.DataFrame, outcomes: pd.DataFrame) -> tuple[Path, Path]:
    """Both files."""
    folder.mkdir(parents=True, exist_ok=True)
    table.to_csv(folder / "women.csv", index=False)
    outcomes.to_csv(folder / "outcomes.csv", index=False)
    return folder / "women.csv", folder / "outcomes.csv"
