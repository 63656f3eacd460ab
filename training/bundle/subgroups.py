"""How held-out cases are divided into subgroups: by source, by age, by how much is known about them."""

from pathlib import Path

import numpy as np
import pandas as pd

from cervix.bundle.manifest import Model, Subgroup
from cervix.patients.reading import read_patients
from cervix.patients.vocabulary import RISK_FACTORS
from training.data.cohort.files import VISITS_FILE
from training.shared.manifest_parts import write_predictions

AGE_BANDS = {"under 30": 30, "30 to 39": 40, "40 to 49": 50, "50 and over": np.inf}
VISIT_BANDS = {"one visit": 2, "2 to 4 visits": 5, "5 visits and more": np.inf}
UNKNOWN_BANDS = {"all answered": 1, "1 to 5 not answered": 6, "6 and more not answered": np.inf}
HPV_TESTED, NEVER_TESTED = "tested for HPV", "cytology alone"
NEARER, FARTHER = "nearer half", "farther half"
COHORT_FOLDER = "cohort"
Divided = dict[str, tuple[str, list[str], pd.Series]]
"""Column -> title, values in order, and the value of each case, indexed by case."""


def with_subgroups(model: Model, out_dir: Path, table: Path) -> Model:
    """Add each case's subgroups to the predictions under ``out_dir``; return the entry that names the subgroups.

    Parameters
    ----------
    table : Path
        The UCI table.
    """
    if model.kind == "molecular":  # its recipe divides the tumours itself: tables of TCGA say by what
        return model
    path = out_dir / model.measured.predictions
    predictions = pd.read_parquet(path)
    if model.tiles:
        divided = _tiles(predictions)
    elif model.kind == "table":
        divided = _patients(table)
    else:
        divided = _women(out_dir / COHORT_FOLDER / VISITS_FILE)
    for column, (_, _, values) in divided.items():
        predictions[column] = values.loc[predictions["case"]].to_numpy(dtype=str)
    write_predictions(path, predictions)
    subgroups = [Subgroup(column=column, title=title, values=values) for column, (title, values, _) in divided.items()]
    return model.model_copy(update={"evaluation": model.measured.model_copy(update={"subgroups": subgroups})})


def _tiles(predictions: pd.DataFrame) -> Divided:
    cases = pd.Index(predictions["case"])
    novelty = predictions["novelty"].to_numpy()
    near = pd.Series(np.where(novelty <= np.median(novelty), NEARER, FARTHER), index=cases)
    return {
        "by_source": ("Source", sorted(set(predictions["by_source"])), pd.Series(predictions["by_source"].array, index=cases)),
        "by_novelty": ("Distance to the training tiles", [NEARER, FARTHER], near),
    }


def _women(visits_csv: Path) -> Divided:
    visits = pd.read_csv(visits_csv, usecols=["patient_id", "age", "hpv_result"], dtype={"patient_id": str})
    women = visits.groupby("patient_id")
    tested = pd.Series(np.where(women["hpv_result"].count() > 0, HPV_TESTED, NEVER_TESTED), index=women["age"].last().index)
    return {
        "by_age": ("Age at the last visit", list(AGE_BANDS), _banded(women["age"].last(), AGE_BANDS)),
        "by_visits": ("Visits", list(VISIT_BANDS), _banded(women.size(), VISIT_BANDS)),
        "by_known": ("Known", [HPV_TESTED, NEVER_TESTED], tested),
    }


def _patients(table: Path) -> Divided:
    frame = read_patients(table).frame
    frame.index = frame.index.astype(str)
    unknown = frame[[column.name for column in RISK_FACTORS]].isna().sum(axis=1)
    return {
        "by_age": ("Age", list(AGE_BANDS), _banded(frame["Age"], AGE_BANDS)),
        "by_known": ("Risk factors", list(UNKNOWN_BANDS), _banded(unknown, UNKNOWN_BANDS)),
    }


def _banded(values: pd.Series, bands: dict[str, float]) -> pd.Series:
    """The first band whose upper limit (exclusive) is above the value."""
    edges = [-np.inf, *bands.values()]
    return pd.cut(values, edges, right=False, labels=list(bands)).astype(str)
