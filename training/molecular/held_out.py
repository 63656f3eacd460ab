"""Every figure of the molecular model on tumours that it did not learn from, by folds that keep hospitals whole."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cervix.evaluation.comparison import decimal, percent
from cervix.evaluation.metrics import binary_report, ranking_interval
from cervix.intervals import Interval, wilson_interval
from training.molecular.data import Cohort, of_one_place
from training.molecular.fit import Answer, Settings, aurocs, fit_answer, folds_by_hospital, network_probability
from training.molecular.gaussian import log_rpm

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Texts = NDArray[np.str_]
SOURCE: Final = "TCGA-CESC, real tumours"
FOLDS_WORDS: Final = "Five folds by hospital, {repeats} times; selection, penalty and threshold within the training folds"


@dataclass(frozen=True)
class HeldOut:
    """Probability of glandular and the call, each by a model that saw no tumour of that hospital: ``(repeats, n)``."""

    probability: Floats
    called: Bools


@dataclass(frozen=True)
class ModelHeldOut:
    """The same of the model, of its rival network, and of the model with markers taken away: words -> ``HeldOut``.

    ``first`` is the answer of the first fold of the first repeat, which is the one that is exported, and ``train`` and ``test``
    the places it was fitted and not fitted on.
    """

    model: HeldOut
    network: HeldOut
    without: dict[str, HeldOut]
    first: Answer
    train: NDArray[np.intp]
    test: NDArray[np.intp]
    folds: list[tuple[NDArray[np.intp], NDArray[np.intp]]]


def held_out_model(cohort: Cohort, settings: Settings, recipe: dict[str, Any]) -> ModelHeldOut:
    """Nested cross-validation of the model, its rival network, and of itself with key markers missing."""
    told, seed = recipe["evaluation"], recipe["seed"]
    logs, truth, hospitals = log_rpm(cohort.rpm), cohort.glandular, cohort.hospitals
    allowed = of_one_place(cohort.markers)
    key = [np.flatnonzero(cohort.markers == name) for name in recipe["model"]["key_markers"]]
    hidden = {f"without {_short(cohort.markers[at][0])}": at for at in key}
    names = ["model", "network", *hidden]
    probability = {name: np.empty((told["repeats"], len(logs))) for name in names}
    called = {name: np.empty((told["repeats"], len(logs)), bool) for name in names}
    answers, folds = [], []
    for repeat in range(told["repeats"]):
        for train, test in folds_by_hospital(truth, hospitals, told["folds"], seed + repeat):
            answer = fit_answer(
                logs[train], truth[train], hospitals[train], allowed, settings, seed=seed,
                sensitivity=told["sensitivity_inside"],
            )  # fmt: skip
            answers.append(answer)
            folds.append((train, test))
            given = {"model": answer.probability(logs[test])}
            given["network"] = network_probability(
                answer, logs[train], truth[train], hospitals[train], logs[test], hidden=told["network_units"], seed=seed,
                inner_folds=settings.inner_folds,
            )  # fmt: skip
            for name, at in hidden.items():
                less = logs[test].copy()
                less[:, at] = np.nan
                given[name] = answer.probability(less)
            for name, values in given.items():
                probability[name][repeat, test] = values
                called[name][repeat, test] = values >= answer.threshold
    of = {name: HeldOut(probability[name], called[name]) for name in names}
    return ModelHeldOut(
        of["model"], of["network"], {name: of[name] for name in hidden}, answers[0], *folds[0], folds[: told["folds"]]
    )


def held_out_rival(
    values: Floats, truth: Bools, hospitals: Texts, allowed: Bools, settings: Settings, recipe: dict[str, Any]
) -> HeldOut:
    """The same procedure on other columns ``(n, m)``."""
    told, seed = recipe["evaluation"], recipe["seed"]
    probability = np.empty((told["repeats"], len(values)))
    called = np.empty((told["repeats"], len(values)), bool)
    for repeat in range(told["repeats"]):
        for train, test in folds_by_hospital(truth, hospitals, told["folds"], seed + repeat):
            answer = fit_answer(
                values[train], truth[train], hospitals[train], allowed, settings, seed=seed,
                sensitivity=told["sensitivity_inside"],
            )  # fmt: skip
            probability[repeat, test] = answer.probability(values[test])
            called[repeat, test] = probability[repeat, test] >= answer.threshold
    return HeldOut(probability, called)


def comparison_rows(
    cohort: Cohort, held: ModelHeldOut, rivals: dict[str, Floats], settings: Settings, recipe: dict[str, Any]
) -> pd.DataFrame:
    """The model beside its rivals on the same folds, and beside itself on the patients that a rival has."""
    titles = recipe["rivals"]
    rows = [
        _row(titles["model"], cohort, held.model, None),
        _row(titles["network"], cohort, held.network, held.model),
        *(_row(titles["missing"].format(marker=name.removeprefix("without ")), cohort, less, held.model)
          for name, less in held.without.items()),
    ]  # fmt: skip
    logs = log_rpm(cohort.rpm)
    one = replace(settings, marker_counts=(1,), expressed_share=0.0)
    for name in recipe["model"]["key_markers"]:
        alone = held_out_rival(logs, cohort.glandular, cohort.hospitals, cohort.markers == name, one, recipe)
        rows.append(_row(titles["single"].format(marker=_short(name)), cohort, alone, held.model))
    free = replace(settings, expressed_share=0.0)
    for name, values in rivals.items():
        has: Bools = np.asarray(~np.isnan(values).any(axis=1), np.bool_)
        # The panel that a visitor would name is small: all of it is used.
        limits = replace(free, marker_counts=(values.shape[1],)) if name == recipe["rivals"]["whole_panel"] else free
        rival = held_out_rival(
            values[has], cohort.glandular[has], cohort.hospitals[has], np.ones(values.shape[1], bool), limits, recipe
        )
        rows.append(_row(titles[name], cohort, rival, held.model, has))
    return pd.DataFrame(rows)


def permuted_row(cohort: Cohort, settings: Settings, recipe: dict[str, Any]) -> dict[str, str]:
    """What the whole procedure finds where there is nothing to be found: diagnoses dealt out anew."""
    runs, rng = recipe["evaluation"]["permutations"], np.random.default_rng(recipe["seed"])
    once = {**recipe, "evaluation": {**recipe["evaluation"], "repeats": 1}}
    logs, allowed = log_rpm(cohort.rpm), of_one_place(cohort.markers)
    found = []
    for _ in range(runs):
        truth = rng.permutation(cohort.glandular)
        chance = held_out_rival(logs, truth, cohort.hospitals, allowed, settings, once)
        found.append(float(aurocs(chance.probability[0][:, None], truth)[0]))
    return {
        "model": f"Diagnoses dealt out anew, {runs} times: the control",
        "n": f"{len(logs)}, {int(cohort.glandular.sum())} glandular",
        "AUROC": f"{np.mean(found):.3f} ({min(found):.3f}–{max(found):.3f}, lowest and highest)",
        "source": SOURCE,
    }


def _row(
    title: str, cohort: Cohort, held: HeldOut, model: HeldOut | None, has: Bools | None = None
) -> dict[str, str]:  # fmt: skip
    of = np.ones(len(cohort.glandular), bool) if has is None else has
    truth, cases = cohort.glandular[of], cohort.cases[of]
    beside = "–"
    if model is not None:
        gain = ranking_interval("auroc", truth, model.probability[:, of], cases, rival=held.probability)
        beside = f"{gain.value:+.3f} ({gain.low:+.3f} to {gain.high:+.3f})"
    return {
        "model": title,
        "n": f"{len(truth)}, {int(truth.sum())} glandular",
        "AUROC": decimal(ranking_interval("auroc", truth, held.probability, cases)),
        "AUROC of the repeats": _range(ranking_interval("auroc", truth, one, cases).value for one in held.probability),
        "the model minus this one, AUROC": beside,
        "calibration error": decimal(calibration_error(truth, held.probability, cases)),
        "sensitivity for glandular": percent(share_called(held.called[:, truth])),
        "specificity": percent(share_called(~held.called[:, ~truth])),
        "source": SOURCE,
    }


def calibration_error(truth: Bools, probability: Floats, cases: Texts) -> Interval:
    """Expected calibration error, its mean over the repeats, with the widest limits of their bootstrap intervals."""
    each = [binary_report(truth, one, cases, 0.5).metrics["ece"] for one in probability]
    mean = each[0]._replace(value=float(np.mean([one.value for one in each])))
    return mean._replace(low=min(one.low for one in each), high=max(one.high for one in each))


def share_called(called: Bools) -> Interval:
    """Share of ``called (repeats, n)``, the mean over repeats, with Wilson's interval at ``n`` patients."""
    return wilson_interval(float(called.mean(axis=0).sum()), called.shape[1])


def error_rows(cohort: Cohort, held: HeldOut) -> pd.DataFrame:
    """What is misread, by kind and by HPV type, in the first repeat."""
    wrong = held.called[0] != cohort.glandular
    groups = hpv_groups(cohort.hpv)
    rows = []
    for glandular, words in ((False, "squamous, read as glandular"), (True, "glandular, read as squamous")):
        for group in HPV_GROUPS:
            of = (cohort.glandular == glandular) & (groups == group)
            if of.any():
                rows.append(
                    {"diagnosis and reading": words, "HPV type": group, "misread": int(wrong[of].sum()), "n": int(of.sum()),
                     "share misread": percent(wilson_interval(int(wrong[of].sum()), int(of.sum()))), "source": SOURCE}
                )  # fmt: skip
    return pd.DataFrame(rows)


HPV_GROUPS: Final = ("HPV 16", "HPV 18 or 45", "another type", "none found")


def hpv_groups(types: Texts) -> Texts:
    """HPV 18 and 45 together: both of clade A7, which glandular tumours carry more often than squamous ones do."""
    named = {"hpv16": HPV_GROUPS[0], "hpv18": HPV_GROUPS[1], "hpv45": HPV_GROUPS[1], "none": HPV_GROUPS[3]}
    return np.array([named.get(name, HPV_GROUPS[2]) for name in types])


def _range(values: Iterable[float]) -> str:
    listed: Sequence[float] = list(values)
    return f"{min(listed):.3f} to {max(listed):.3f}"


def _short(marker: str) -> str:
    return str(marker).replace("hsa-mir-", "miR-")
