"""What validation women decide of a model from elsewhere: calibration, thresholds, rivals."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cervix.bundle.manifest import Baseline, DerivedTask
from cervix.bundle.sessions import CPU_PROVIDER, Arrays, open_session
from cervix.evaluation.calibration import calibration_figures
from training.shared.calibrate import fit_platt
from training.shared.manifest_parts import add_probabilities
from training.wrap.fitting import class_index, fit_temperature, youden_threshold
from training.wrap.refusal import WrapRefused
from training.wrap.women.about import WomenAsked
from training.wrap.women.graph import WomenFits
from training.wrap.women.rows import LabelledWomen
from training.wrap.women.summaries import FEATURES, LENGTHS

Floats = NDArray[np.floating]
BATCH_WOMEN = 4096
BASELINES = [
    Baseline(id="share", title="Share of each class in validation"),
    Baseline(id="logistic", title="Logistic regression on the values last known, fitted on validation"),
]


def answers_of(graph: bytes, arrays: Arrays, outputs: Sequence[str]) -> dict[str, NDArray[np.float32]]:
    """What a graph answers about women, by output, some at a time."""
    session = open_session(graph, CPU_PROVIDER)
    count = len(next(iter(arrays.values())))
    found: dict[str, list[NDArray[np.float32]]] = {name: [] for name in outputs}
    for start in range(0, count, BATCH_WOMEN):
        some = {name: values[start : start + BATCH_WOMEN] for name, values in arrays.items()}
        for name, values in zip(outputs, session.run(list(outputs), some), strict=True):
            found[name].append(values)
    return {name: np.concatenate(parts) for name, parts in found.items()}


def fit_women(about: WomenAsked, logits: Floats, labels: NDArray[np.str_]) -> WomenFits:
    """Platt's slope and intercept of two classes, one over the temperature of more.

    Parameters
    ----------
    logits : (n, classes) of validation women

    Raises
    ------
    WrapRefused
        Answers that fall where the outcome is more frequent.
    """
    if len(about.classes) > 2:
        return WomenFits(fit_temperature(logits, class_index(labels, about.class_ids)))
    odds = logits[:, about.positive] - logits[:, 1 - about.positive]
    slope, intercept = fit_platt(odds, labels == about.class_ids[about.positive])
    if slope <= 0:
        raise WrapRefused(
            "The model's answers fall where the outcome is more frequent",
            expected="a higher answer for women with the outcome, on validation women",
            found=f"a slope of {slope:.2f}",
            action="List the classes in the order of the model's outputs; check the order of input.columns.",
        )
    return WomenFits(slope, intercept)


def probabilities_of(about: WomenAsked, told: dict[str, NDArray[np.float32]]) -> Floats:
    """The probabilities of the classes ``(n, classes)`` from what the wrapped graph answers."""
    if about.kind == "sequence":
        return told["probabilities"]
    sides = [1 - told["risk"], told["risk"]]
    return np.stack(sides if about.positive == 1 else sides[::-1], axis=1)


def thresholds_of(about: WomenAsked, probabilities: Floats, labels: NDArray[np.str_]) -> dict[str, float]:
    """Question -> the score with the highest Youden's J."""
    return {task.id: youden_threshold(probabilities, labels, about.class_ids, task) for task in about.questions}


def rivals_of(about: WomenAsked, validation: LabelledWomen, test: LabelledWomen) -> dict[str, Floats]:
    """What ``BASELINES`` say of the test women: ``(n, classes)`` each."""
    share = np.array([(validation.labels == label).mean() for label in about.class_ids])
    regression = make_pipeline(
        SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler(), LogisticRegression(max_iter=5000, C=0.1)
    )
    regression.fit(last_known(validation.arrays), validation.labels)
    told = np.zeros((len(test), len(about.classes)))
    places = [about.class_ids.index(label) for label in regression.classes_]
    told[:, places] = regression.predict_proba(last_known(test.arrays))
    return {"share": np.tile(share, (len(test), 1)), "logistic": told}


def last_known(arrays: Arrays) -> NDArray[np.float32]:
    """Of each input the newest value that is known ``(n, F)``."""
    features = np.asarray(arrays[FEATURES], np.float32)
    if LENGTHS in arrays:
        inside = np.arange(features.shape[1]) < np.asarray(arrays[LENGTHS], np.int32)[:, None]
        features = np.where(inside[..., None], features, np.float32(np.nan))
    place = np.where(np.isnan(features), -1, np.arange(features.shape[1])[:, None]).max(axis=1)
    return np.asarray(np.take_along_axis(features, np.maximum(place, 0)[:, None], axis=1)[:, 0], np.float32)


def women_predictions(about: WomenAsked, women: LabelledWomen, scores: dict[str, Floats]) -> pd.DataFrame:
    """The held-out predictions as the manifest describes them.

    Parameters
    ----------
    scores : prefix of the columns -> ``(n, classes)``
    """
    frame = pd.DataFrame({"case": women.cases, "group": women.groups, "label": women.labels})
    for prefix, values in scores.items():
        add_probabilities(frame, prefix, about.class_ids, values)
    return frame


def calibration_table(about: WomenAsked, women: LabelledWomen, probabilities: Floats) -> pd.DataFrame:
    """Of each question whether its probabilities may be read as frequencies, on women that fitted nothing."""
    return pd.DataFrame([_calibration(about, task, women, probabilities) for task in about.questions])


def _calibration(about: WomenAsked, task: DerivedTask, women: LabelledWomen, probabilities: Floats) -> dict[str, str]:
    asked = np.isin(women.labels, task.positive + task.negative)
    yes, no = (probabilities[asked][:, np.isin(about.class_ids, side)].sum(axis=1) for side in (task.positive, task.negative))
    score = yes.astype(np.float64) / np.maximum(yes + no, np.finfo(np.float32).tiny)
    found = calibration_figures(np.isin(women.labels[asked], task.positive), score, women.groups[asked])
    return {
        "question": task.title,
        "observed / expected": "{:.2f} ({:.2f}–{:.2f})".format(*found.observed_expected),
        "calibration error (ECE)": "{:.4f} ({:.4f}–{:.4f})".format(*found.ece),
        "Spiegelhalter p": f"{found.p_value:.3f}",
        "n": f"{found.n:,} women, {found.events} events",
    }
