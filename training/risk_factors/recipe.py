"""The risk-factor models: the UCI table under an honest protocol, with and without the other diagnostic tests."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from numpy.typing import NDArray
from sklearn.metrics import roc_curve

from cervix.bundle.manifest import GoldenTable, Model, ModelId, TensorSpec, Variant
from cervix.bundle.sessions import CPU_PROVIDER, Arrays, open_session
from cervix.patients.encoding import encoding_named
from cervix.patients.reading import read_patients
from cervix.patients.sample import sample_table_csv
from cervix.patients.scoring import feature_array
from cervix.patients.vocabulary import OTHER_TESTS, RISK_FACTORS
from training.data.splits import grouped_split, require_events
from training.data.uci import RiskTable, load_risk_table
from training.risk_factors.cross_validation import cross_validation_table, logistic
from training.risk_factors.golden_table import golden_patients_csv
from training.risk_factors.leakage import leakage_table
from training.shared.calibrate import fit_platt
from training.shared.declared import declared_ids, model_entry, read_recipe
from training.shared.lstm import ImputeAndScale, risk_lstm
from training.shared.manifest_parts import (
    counts_by_split,
    groups_by_split,
    write_bytes,
    write_golden,
    write_golden_table,
    write_predictions,
    write_table,
)
from training.shared.stages import Log
from training.shared.to_onnx import to_onnx

Floats = NDArray[np.float32]
OUTPUTS = ("risk", "logit", "known_share")
GOLDEN_ROWS = 16
GOLDEN_TOLERANCE = {"risk": 1e-4, "logit": 1e-3, "known_share": 1e-6}
CLASSES = ("no", "yes")


def train_risk_factors(recipe_path: Path, table_csv: Path, out_dir: Path, log: Log) -> list[Model]:
    """Train, evaluate and export both models under ``out_dir``. Returns their manifest entries.

    Duplicates are removed first. Then whole groups (rows with equal inputs) are split. Medians, scales and weights come from
    the training split, calibration and threshold from validation, figures from test.

    Raises
    ------
    PatientFileError
        If the table is not the UCI table.
    EventError
        If there is only one outcome or fewer than 50 positive biopsies.
    """
    recipe = read_recipe(recipe_path)
    factors = [column.name for column in RISK_FACTORS]
    tests = [column.name for column in OTHER_TESTS]
    tables = {names: load_risk_table(table_csv, names) for names in (tuple(factors), tuple(factors + tests))}
    table = next(iter(tables.values()))
    log(f"{len(table.frame)} rows, {table.duplicates_removed} duplicates removed, {int(table.positive.sum())} positive")
    require_events(table.positive)
    leakage = leakage_table(table_csv, recipe, log)
    return [
        _train_one(model_id, list(names), table, recipe, leakage, out_dir, log)
        for model_id, (names, table) in zip(declared_ids(recipe), tables.items(), strict=True)
    ]


def fit_risk_lstm(
    features: Floats, positive: NDArray[np.bool_], train: NDArray[np.bool_], validation: NDArray[np.bool_],
    recipe: dict[str, Any],
) -> keras.Model:  # fmt: skip
    """Fit one LSTM by class-weighted cross-entropy, with early stopping on validation.

    Parameters
    ----------
    features : (n, 1, f) raw values, NaN where not known
    positive, train, validation : (n,)
    """
    settings = recipe["model"]
    keras.utils.set_random_seed(recipe["seed"])
    seen = features[train]
    # A column without any value in training has no median; it gets 0 and is marked as not known by the mask.
    with_any = ~np.isnan(seen).all(axis=(0, 1))
    median = np.zeros(features.shape[2], np.float32)
    median[with_any] = np.nanmedian(seen[..., with_any], axis=(0, 1))
    imputed = np.where(np.isnan(seen), median, seen)
    spread = imputed.std(axis=(0, 1))
    spread = np.where(spread > 0, spread, 1.0)
    prepare = ImputeAndScale(median.tolist(), imputed.mean(axis=(0, 1)).tolist(), spread.tolist())
    model = risk_lstm(
        prepare, features.shape[1], features.shape[2], settings["units"], settings["dropout"], settings["weight_decay"]
    )
    model.compile(keras.optimizers.Adam(settings["learning_rate"]), keras.losses.BinaryCrossentropy(from_logits=True))
    share = positive[train].mean()
    weight = np.where(positive, 0.5 / share, 0.5 / (1 - share)).astype(np.float32)
    hidden = _HideInputs(seen, positive[train], weight[train], settings, recipe["seed"])
    model.fit(
        hidden,
        validation_data=(features[validation], positive[validation].astype(np.float32), weight[validation]),
        epochs=settings["epochs"],
        callbacks=[keras.callbacks.EarlyStopping(patience=settings["patience"], restore_best_weights=True)],
        verbose=0,
    )
    return model


class _HideInputs(keras.utils.PyDataset):  # type: ignore[misc]  # untyped base class
    """Training batches in which a share of the rows loses a random part of its inputs, drawn anew in every epoch.

    The part ranges uniformly from none to all, so the model also learns from rows about which nothing is known.
    """

    def __init__(
        self, features: Floats, positive: NDArray[np.bool_], weight: Floats, settings: dict[str, Any], seed: int
    ) -> None:
        super().__init__()
        self._features, self._positive, self._weight = features, positive.astype(np.float32), weight
        self._batch, self._incomplete_share = settings["batch_size"], settings["incomplete_share"]
        self._rng = np.random.default_rng(seed)
        self.on_epoch_end()

    def __len__(self) -> int:
        return int(-(-len(self._features) // self._batch))

    def __getitem__(self, index: int) -> tuple[Floats, Floats, Floats]:
        rows = self._order[index * self._batch : (index + 1) * self._batch]
        features = self._features[rows]
        incomplete = self._rng.random((len(rows), 1, 1)) < self._incomplete_share
        hide = self._rng.random(features.shape) < incomplete * self._rng.random((len(rows), 1, 1))
        return np.where(hide, np.float32(np.nan), features), self._positive[rows], self._weight[rows]

    def on_epoch_end(self) -> None:
        self._order = self._rng.permutation(len(self._features))


def _train_one(
    model_id: ModelId, names: list[str], table: RiskTable, recipe: dict[str, Any], leakage: pd.DataFrame, out_dir: Path,
    log: Log,
) -> Model:  # fmt: skip
    labels = np.where(table.positive, "yes", "no")
    tenths = tuple(recipe["data"]["tenths"])
    assigned = grouped_split(labels, table.groups, tenths=tenths, seed=recipe["seed"], mixed=True)
    features = feature_array(table.frame, names)
    train, validation, test = (assigned == split for split in ("train", "validation", "test"))
    network = fit_risk_lstm(features, table.positive, train, validation, recipe)
    slope, intercept = fit_platt(_logits(network, features[validation]), table.positive[validation])
    onnx_bytes = to_onnx(_risk_function(network, slope, intercept), _inputs(len(names)), _outputs()).SerializeToString()
    file = f"{model_id}/fp32.onnx"
    write_bytes(out_dir / file, onnx_bytes)
    session = open_session(onnx_bytes, CPU_PROVIDER)

    def run(rows: Floats) -> Arrays:
        return dict(zip(OUTPUTS, session.run(list(OUTPUTS), {"features": rows}), strict=True))

    golden_rows = feature_array(read_patients(sample_table_csv(GOLDEN_ROWS).encode()).frame, names).copy()
    golden_rows[-1] = np.nan
    write_golden(out_dir / f"{model_id}/golden.npz", {"features": golden_rows}, {"fp32": run(golden_rows)})
    golden_table = write_golden_table(
        out_dir,
        model_id,
        golden_patients_csv(),
        encoding_named(names),
        lambda arrays: run(arrays["features"].astype(np.float32)),
        one_row=True,
    )

    risk = run(features[test])["risk"].astype(np.float64)
    predictions = pd.DataFrame(
        {
            "case": table.frame.index[test].astype(str),
            "group": table.groups[test],
            "label": np.where(table.positive[test], "yes", "no"),
            "p_no": 1 - risk,
            "p_yes": risk,
        }
    )
    rival = logistic().fit(features[train, 0], table.positive[train])
    share = float(table.positive[train].mean())
    for name, scores in (
        ("always-no", np.full(len(risk), share)),
        ("logistic", rival.predict_proba(features[test, 0])[:, 1]),
    ):
        predictions[f"{name}__p_no"], predictions[f"{name}__p_yes"] = 1 - scores, scores
    write_predictions(out_dir / f"{model_id}/predictions.parquet", predictions)

    fpr, tpr, limits = roc_curve(table.positive[validation], run(features[validation])["risk"])
    threshold = float(limits[np.argmax(tpr - fpr)])
    settings = recipe["evaluation"]
    repeated = cross_validation_table(
        features, table, lambda train, stop: fit_risk_lstm(features, table.positive, train, stop, recipe),
        folds=settings["folds"], repeats=settings["repeats"], seed=recipe["seed"],
    )  # fmt: skip
    log(f"{model_id}\n{repeated.to_string(index=False)}")
    for name, frame in (("cross-validation", repeated), ("leakage", leakage)):
        write_table(out_dir / model_id / f"{name}.csv", frame)
    return _manifest_entry(model_id, names, golden_table, table, assigned, recipe, file, (slope, intercept), threshold)


def _logits(network: keras.Model, features: Floats) -> NDArray[np.float64]:
    return np.asarray(network.predict(features, verbose=0)[:, 0], np.float64)


def _risk_function(network: keras.Model, slope: float, intercept: float) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    def serve(features: tf.Tensor) -> dict[str, tf.Tensor]:
        logit = np.float32(slope) * network(features, training=False)[:, 0] + np.float32(intercept)
        known = 1.0 - tf.cast(tf.math.is_nan(features), tf.float32)
        return {"risk": tf.sigmoid(logit), "logit": logit, "known_share": tf.reduce_mean(known, axis=(1, 2))}

    return serve


def _inputs(count: int) -> list[TensorSpec]:
    return [
        TensorSpec(
            name="features", dtype="float32", shape=["N", 1, count], unit="as in the table",
            meaning="Raw values of one visit, NaN where not known",
        )
    ]  # fmt: skip


def _outputs() -> list[TensorSpec]:
    return [
        TensorSpec(name="risk", dtype="float32", shape=["N"], unit="probability", activation="sigmoid",
                   meaning="Calibrated probability of a positive biopsy"),
        TensorSpec(name="logit", dtype="float32", shape=["N"], unit="log odds", meaning="Log odds of that probability"),
        TensorSpec(name="known_share", dtype="float32", shape=["N"], unit="share", meaning="Share of the inputs known"),
    ]  # fmt: skip


def _manifest_entry(
    model_id: ModelId, names: list[str], golden_table: GoldenTable, table: RiskTable, assigned: NDArray[np.str_],
    recipe: dict[str, Any], file: str, platt: tuple[float, float], threshold: float,
) -> Model:  # fmt: skip
    validation = assigned == "validation"
    said = {
        "units": recipe["model"]["units"],
        "events": int(table.positive.sum()),
        "validation": int(validation.sum()),
        "validation_events": int(table.positive[validation].sum()),
        "duplicates": table.duplicates_removed,
    }
    labels = np.where(table.positive, "yes", "no")
    computed = {
        "kind": "table",
        "variants": [Variant(precision="fp32", file=file, runs_on="cpu", tolerance=GOLDEN_TOLERANCE)],
        "inputs": _inputs(len(names)),
        "outputs": _outputs(),
        "features": {"encoding": encoding_named(names), "visits": 1, "gaps": "none", "golden_table": golden_table},
        "calibration": {"method": "platt", "parameters": {"slope": platt[0], "intercept": platt[1]}},
        "thresholds": [{"value": threshold}],
        "abstention": [{"limit": recipe["abstention"]["known_share_at_least"]}],
        "training_data": [{"counts": counts_by_split(labels, assigned), "groups": groups_by_split(table.groups, assigned)}],
        "evaluation": {"precision": "fp32"},
    }
    return model_entry(recipe, model_id, CLASSES, said, computed)
