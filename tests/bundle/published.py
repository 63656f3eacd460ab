"""A table of published risks whose model is the publication itself, off by a seeded noise; and a made bundle that has it."""

import hashlib
import shutil
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cervix.bundle.published_risks import COLPOSCOPY, CURRENT, GRADES, NEGATIVE_ROUND, SURVEILLANCE, TREATMENT, YEARS
from cervix.patients.guideline import rung_of
from tests.bundle.altered import edit_manifest

NAME = "history/published-risks.csv"
KIND_OF_TABLE = {1: NEGATIVE_ROUND, 2: SURVEILLANCE, 4: COLPOSCOPY, 5: TREATMENT}
NOISE = 0.6
"""Standard deviation of the logarithm of the factor by which the model is off."""
LIMITS = (("low", 0.008), ("high", 0.0125))


def published_table(data_dir: Path, *, seed: int = 11) -> pd.DataFrame:
    """The real tables with a model, and rivals, that nobody trained."""
    raw = pd.read_csv(data_dir / "tables/asccp_2019_risks.csv")
    rng = np.random.default_rng(seed)
    table = raw[["table", "history", "hpv", "cytology", "management"]].fillna("")
    table["history"] = table["history"].str.split().str.join(" ")
    current = table["history"] == "NO HISTORY"
    table["kind"] = np.where(current, CURRENT, table["table"].map(KIND_OF_TABLE))
    table["women"] = raw["N"]
    table["guides"] = np.where(current | (table["history"] == "HPV-positive/NILM"), "yes", "no")
    off = np.exp(rng.normal(0, NOISE, len(raw)))
    for grade, years in product(GRADES, YEARS):
        risk, theirs = f"{grade}_{years}", f"{grade}_{years or 'im'}"
        for ours, ending in (("", ""), ("_low", "_lo"), ("_high", "_hi")):
            table[f"published_{risk}{ours}"] = (raw[f"{theirs}{ending}"] / 100).clip(0, 1)
        table[f"model_{risk}"] = _off(table[f"published_{risk}"], off)
        if grade == "cin3" and years in (0, 5):
            for rival in ("boosting", "logistic"):
                table[f"{rival}_{risk}"] = _off(table[f"published_{risk}"], off * np.exp(rng.normal(0, NOISE, len(raw))))
    risks = table[["model_cin3_0", "model_cin3_5"]].to_numpy()
    return table.assign(model_step=[rung_of(*pair).action for pair in risks])


def published_row(**told: Any) -> dict[str, Any]:
    """One row of the table, of a risk of 1 % that the model has right, with what is ``told``."""
    risks = {f"{who}_{grade}_{years}": 0.01 for who, grade, years in product(("published", "model"), GRADES, YEARS)}
    limits = {f"published_{grade}_{years}_{end}": at for grade, years in product(GRADES, YEARS) for end, at in LIMITS}
    words = {"table": 1, "history": "HPV-negative", "hpv": "HPV-positive", "cytology": "NILM", "kind": NEGATIVE_ROUND}
    steps = {"women": 1000.0, "guides": "no", "management": "1-year follow-up", "model_step": "Return in 1 year"}
    return words | steps | risks | limits | told


def write_published_bundle(made: Path, root: Path, table: pd.DataFrame) -> Path:
    """A copy of a made bundle whose history model has the table; returns ``root``."""
    shutil.copytree(made, root)
    content = table.to_csv(index=False).encode()
    (root / NAME).write_bytes(content)

    def named(manifest: dict[str, Any]) -> None:
        listed = {"path": NAME, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        manifest["files"].append(listed)
        model = next(model for model in manifest["models"] if model["id"] == "history")
        model["evaluation"]["published_risks"] = NAME

    edit_manifest(root, named)
    return root


def _off(published: pd.Series, factor: np.ndarray) -> pd.Series:
    """The published risk times a factor, below 1; where it is 0 or not published, as low as a rare event."""
    return (published.replace(0, np.nan).fillna(1e-4) * factor).clip(upper=0.95)
