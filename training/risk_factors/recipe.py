"""The risk-factor models: the UCI table, honest protocol, with and without the other diagnostic tests."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from numpy.typing import NDArray
from sklearn.metrics import roc_curve

from cervix.bundle.manifest import (
    Abstention,
    Baseline,
    Calibration,
    DerivedTask,
    Evaluation,
    EvaluationTable,
    FeatureInput,
    GoldenTable,
    Model,
    ModelId,
    PublishedFigure,
    TensorSpec,
    Threshold,
    TrainingData,
    Variant,
)
from cervix.bundle.sessions import CPU_PROVIDER, Arrays, open_session
from cervix.patients.encoding import encoding_named
from cervix.patients.reading import read_patients
from cervix.patients.sample import sample_table_csv
from cervix.patients.scoring import BIOPSY_TASK, feature_array
from cervix.patients.vocabulary import OTHER_TESTS, RISK_FACTORS
from training.data.splits import grouped_split, require_events
from training.data.uci import RiskTable, load_risk_table
from training.risk_factors.cross_validation import CROSS_VALIDATION, cross_validation_table, logistic
from training.risk_factors.golden_table import golden_patients_csv
from training.risk_factors.leakage import LEAKAGE, leakage_table
from training.shared.calibrate import fit_platt
from training.shared.lstm import ImputeAndScale, risk_lstm
from training.shared.manifest_parts import (
    counts_by_split,
    declared_classes,
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
LSTM_PAPER = "Published LSTM on screening histories, another data set that is not available"
LEAKY_NOTEBOOKS = (
    "Often-quoted notebooks on this table: oversampling before the split, so that copies of test rows are trained on"
)


def train_risk_factors(recipe_path: Path, table_csv: Path, out_dir: Path, log: Log) -> list[Model]:
    """Train, evaluate and export both models under ``out_dir``. Returns their manifest entries.

    Duplicates are removed and whole groups, rows with equal inputs of the model, split before anything else; medians, scales
    and weights come from the training split, calibration and threshold from validation, figures from test.

    Raises
    ------
    PatientFileError
        If the table is not the UCI table.
    EventError
        With one outcome alone or fewer than 50 positive biopsies.
    """
    recipe = tomllib.loads(recipe_path.read_text(encoding="utf-8"))
    factors = [column.name for column in RISK_FACTORS]
    tests = [column.name for column in OTHER_TESTS]
    tables = {names: load_risk_table(table_csv, names) for names in (tuple(factors), tuple(factors + tests))}
    table = next(iter(tables.values()))
    log(f"{len(table.frame)} rows, {table.duplicates_removed} duplicates removed, {int(table.positive.sum())} positive")
    require_events(table.positive)
    leakage = leakage_table(table_csv, recipe, log)
    ids: tuple[ModelId, ...] = ("risk-factors", "risk-factors-with-tests")
    return [
        _train_one(model_id, list(names), table, recipe, leakage, out_dir, log)
        for model_id, (names, table) in zip(ids, tables.items(), strict=True)
    ]


def fit_risk_lstm(
    features: Floats, positive: NDArray[np.bool_], train: NDArray[np.bool_], validation: NDArray[np.bool_],
    recipe: dict[str, Any],
) -> keras.Model:  # fmt: skip
    """Fit one LSTM by class-weighted cross-entropy, stopped early on validation.

    Parameters
    ----------
    features : (n, 1, f) raw values, NaN where not known
    positive, train, validation : (n,)
    """
    settings = recipe["model"]
    keras.utils.set_random_seed(recipe["seed"])
    seen = features[train]
    # A column nobody has in training has no median: 0, which the mask marks as not known.
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
    """Training batches in which a share of the rows loses a random part of its inputs, anew every time.

    The part is uniform from none to all, so that a row about which nothing is known is no surprise to the model.
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
    tables = []
    for described, frame in ((CROSS_VALIDATION, repeated), (LEAKAGE, leakage)):
        kept = described.model_copy(update={"file": f"{model_id}/{described.file}"})
        write_table(out_dir / kept.file, frame)
        tables.append(kept)
    return _manifest_entry(
        model_id, names, golden_table, table, assigned, recipe, file, (slope, intercept), threshold, tables,
        with_tests=len(names) > len(RISK_FACTORS),
    )  # fmt: skip


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
    recipe: dict[str, Any], file: str, platt: tuple[float, float], threshold: float, tables: list[EvaluationTable], *,
    with_tests: bool,
) -> Model:  # fmt: skip
    published = [
        PublishedFigure(metric="accuracy", value=0.945, task=BIOPSY_TASK, source=LSTM_PAPER),
        PublishedFigure(metric="f1", value=0.937, task=BIOPSY_TASK, source=LSTM_PAPER),
    ]
    if with_tests:
        published.append(PublishedFigure(metric="accuracy", value=0.99, task=BIOPSY_TASK, source=LEAKY_NOTEBOOKS))
    labels = np.where(table.positive, "yes", "no")
    positives = int(table.positive[assigned == "validation"].sum())
    scope = "risk factors and the three other tests" if with_tests else "risk factors alone"
    return Model(
        id=model_id,
        kind="table",
        title=f"Risk of a positive biopsy from {scope}",
        short="With other tests" if with_tests else "Risk factors only",
        task=f"Estimate the probability of a positive biopsy from {scope}",
        outcome="Biopsy result recorded in the same examination; no follow-up",
        architecture=f"LSTM {recipe['model']['units']} over one time step → dropout → dense 1; imputation in the graph",
        recipe=recipe["name"],
        seed=recipe["seed"],
        variants=[Variant(precision="fp32", file=file, runs_on="cpu", tolerance=GOLDEN_TOLERANCE)],
        inputs=_inputs(len(names)),
        outputs=_outputs(),
        classes=declared_classes(recipe, ["no", "yes"]),
        derived_tasks=[DerivedTask(id=BIOPSY_TASK, title="Biopsy positive", positive=["yes"], negative=["no"])],
        features=FeatureInput(
            encoding=encoding_named(names),
            visits=1,
            gaps="none",
            golden_table=golden_table,
            steps_in_graph=[
                "not-known mask from NaN",
                "NaN to the training median",
                "standardised by training mean and standard deviation",
                "values and mask side by side",
            ],
        ),
        calibration=Calibration(
            method="platt",
            parameters={"slope": platt[0], "intercept": platt[1]},
            fitted_on=f"validation split, {int((assigned == 'validation').sum())} rows with {positives} positive",
        ),
        thresholds=[
            Threshold(
                task=BIOPSY_TASK,
                value=threshold,
                chosen_by=f"Youden's J on the validation split ({positives} positive): sensitive to single cases",
            )
        ],
        abstention=[
            Abstention(
                output="known_share",
                limit=recipe["abstention"]["known_share_at_least"],
                chosen_by="below half of the inputs known, the answer is mostly that of nobody in particular",
            )
        ],
        training_data=[
            TrainingData(
                name="UCI 383, Cervical cancer (Risk Factors)",
                licence="CC BY 4.0",
                citation="Fernandes, Cardoso & Fernandes 2017, UCI Machine Learning Repository, doi:10.24432/C5Z310",
                nature="real",
                note=(
                    f"858 women of Hospital Universitario de Caracas; {table.duplicates_removed} duplicate rows removed. "
                    "Prior diagnoses (Dx) are among the inputs."
                ),
                grouped_by="rows with equal inputs",
                counts=counts_by_split(labels, assigned),
                groups=groups_by_split(table.groups, assigned),
            )
        ],
        evaluation=Evaluation(
            predictions=f"{model_id}/predictions.parquet",
            precision="fp32",
            split="test split, rows never seen in training",
            baselines=[
                Baseline(id="always-no", title="Always no"),
                Baseline(id="logistic", title="Logistic regression on the same inputs"),
            ],
            published=published,
            notes=[
                "The single test split is small; trust the repeated cross-validation over all rows more.",
                "Accuracy says little here: always answering no is right for about 94 of 100 women.",
            ],
            tables=tables,
        ),
        golden=f"{model_id}/golden.npz",
        intended_use=[
            "Demonstrating what a risk model on a questionnaire can and cannot tell.",
            "Teaching how leakage makes the often-quoted 0.99, and what remains without it.",
        ],
        limits=[
            "One hospital, one time: no screening history, so the LSTM sees a single time step.",
            f"{int(table.positive.sum())} positive biopsies in all; every interval is wide.",
            "Prior diagnoses (Dx:Cancer, Dx:CIN, Dx:HPV) are inputs: for those women part of the answer is given.",
            *(
                ["Colposcopy, Schiller and cytology come from the same examination as the biopsy: this is no screening."]
                if with_tests
                else ["Without the other tests the inputs tell little; see the interval of the AUROC."]
            ),
        ],
        known_failures=["Women about whom little is known get nearly the same answer; below half, the model abstains."],
    )
