"""The tables: each witness and both together, who gets no answer, and what is left where slides are dealt out anew."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from statsmodels.stats.contingency_tables import mcnemar

from cervix.evaluation.comparison import decimal, percent, signed
from cervix.evaluation.metrics import auroc_interval, bootstrap_mean, ranking_interval
from cervix.evaluation.paired import EXACT_BELOW
from cervix.intervals import Interval, wilson_interval
from training.molecular.data import Cohort
from training.molecular.fit import aurocs
from training.molecular.held_out import HeldOut, calibration_error, share_called
from training.molecular_slide.folds import MolecularFolds
from training.molecular_slide.fusion import Fused, dealt_anew, fuse
from training.molecular_slide.pairs import PairsRefused
from training.molecular_slide.slides import SlidesSay

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Texts = NDArray[np.str_]
SLIDE, MOLECULAR, JOINED = "slide alone", "microRNA alone", "slide and microRNA"
EITHER = "slide and microRNA, or the one that answers"


def figure_rows(cohort: Cohort, paired: Bools, fused: Fused, source: str) -> pd.DataFrame:
    """Each witness and both together on the pairs that both answer; last, all pairs that have any answer.

    Parameters
    ----------
    paired : (n,) which tumours of the cohort have a slide

    Raises
    ------
    PairsRefused
        If the pairs that both answer are of one kind.
    """
    both = fused.both_answer
    if (few := min(int(cohort.glandular[both].sum()), int((~cohort.glandular[both]).sum()))) == 0:
        raise PairsRefused("No pair of a kind is answered by both", expected="at least one of each kind", found=str(few))
    alone = ((SLIDE, fused.slide), (MOLECULAR, fused.molecular))
    rows = [_row(words, cohort, held, both, source) | _beside(cohort, held, fused.joined, both) for words, held in alone]
    rows.append(_row(JOINED, cohort, fused.joined, both, source))
    any_answer = paired & ~np.isnan(fused.either.probability).any(axis=0)
    rows.append(_row(EITHER, cohort, fused.either, any_answer, source))
    return pd.DataFrame(rows).fillna("–")


def _row(words: str, cohort: Cohort, held: HeldOut, of: Bools, source: str) -> dict[str, str]:
    truth, cases = cohort.glandular[of], cohort.cases[of]
    probability, called = held.probability[:, of], held.called[:, of]
    return {
        "answer": words,
        "n": f"{len(truth)}, {int(truth.sum())} glandular",
        "hospitals": str(len(set(cohort.hospitals[of].tolist()))),
        "AUROC": decimal(_auroc(truth, probability, cases)),
        "calibration error": decimal(calibration_error(truth, probability, cases)),
        "sensitivity for glandular": percent(share_called(called[:, truth])),
        "specificity": percent(share_called(~called[:, ~truth])),
        "source": source,
    }


def _auroc(truth: Bools, probability: Floats, cases: Texts) -> Interval:
    """The mean over repeats; a perfect order gets the width that ``auroc_interval`` gives it."""
    found = ranking_interval("auroc", truth, probability, cases)
    return auroc_interval(truth, probability[0], cases) if found.value in (0.0, 1.0) else found


def _beside(cohort: Cohort, held: HeldOut, joined: HeldOut, of: Bools) -> dict[str, str]:
    """What joining adds to a witness, with intervals by patient; McNemar's test in the first repeat."""
    truth, cases = cohort.glandular[of], cohort.cases[of]
    gain = ranking_interval("auroc", truth, joined.probability[:, of], cases, rival=held.probability[:, of])
    more = (joined.called[:, of].astype(float) - held.called[:, of]).mean(axis=0)
    right = [one.called[0, of] == truth for one in (held, joined)]
    only_alone, only_joined = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
    return {
        "joined minus this, AUROC": signed(gain),
        "joined minus this, sensitivity": signed(bootstrap_mean(more[truth], cases[truth])),
        "joined minus this, specificity": signed(bootstrap_mean(-more[~truth], cases[~truth])),
        "only this right / only joined right": f"{only_alone} / {only_joined} (McNemar p = {_p(only_alone, only_joined):.2g})",
    }


def _p(only_alone: int, only_joined: int) -> float:
    """McNemar 1947, Psychometrika 12:153-157: exact where few differ."""
    apart = only_alone + only_joined
    return float(mcnemar([[0, only_alone], [only_joined, 0]], exact=apart < EXACT_BELOW).pvalue) if apart else 1.0


def answer_rows(cohort: Cohort, fused: Fused, says: SlidesSay, source: str) -> pd.DataFrame:
    """Who answers what, in the first repeat, by kind."""
    slide, molecular = (~np.isnan(one.probability[0]) for one in (fused.slide, fused.molecular))
    groups = {
        "both answer": slide & molecular,
        "microRNA alone: too few tiles recognised": ~slide & molecular & (says.tiles > 0),
        "microRNA alone: no tile is fit": ~slide & molecular & (says.tiles == 0),
        "slide alone: microRNA beyond the gate": slide & ~molecular,
        "neither": ~slide & ~molecular,
    }
    paired = says.slides > 0
    rows = []
    for kind, of_kind in (("squamous", ~cohort.glandular), ("glandular", cohort.glandular)):
        pairs = of_kind & paired
        for words, of in groups.items():
            share = wilson_interval(int((of & pairs).sum()), int(pairs.sum()))
            rows.append(
                {"kind": kind, "pairs": int(pairs.sum()), "who answers": words, "n": int((of & pairs).sum()),
                 "share": percent(share), "source": source}
            )  # fmt: skip
    return pd.DataFrame(rows)


def control_rows(
    cohort: Cohort, folds: MolecularFolds, slide: Floats, fused: Fused, recipe: Mapping[str, Any], sensitivity: float,
    seed: int, source: str,
) -> pd.DataFrame:  # fmt: skip
    """The same with slides that belong to other patients.

    Dealt out among all pairs, a slide knows nothing: joining must not gain. Dealt out within a kind, it knows the kind and
    nothing else of its patient: what two witnesses gain who are right and wrong independently of each other.
    """
    both = fused.both_answer
    truth = cohort.glandular[both]

    def gain(of: Fused) -> float:
        joined, alone = (aurocs(held.probability[:, both].T, truth).mean() for held in (of.joined, of.molecular))
        return float(joined - alone)

    shuffles, rng = recipe["control"]["shuffles"], np.random.default_rng(seed)
    pairing = {"among all pairs": np.zeros(len(slide), np.int64), "within each kind": cohort.glandular.astype(np.int64)}
    true_gain = gain(fused)
    rows = [{"slides": "of the same patient", "joined minus microRNA alone, AUROC": f"{true_gain:+.3f}"}]
    for words, within in pairing.items():
        gains = [
            gain(fuse(cohort, folds, dealt_anew(slide, within, rng), recipe["fusion"], sensitivity)) for _ in range(shuffles)
        ]
        as_large = sum(one >= true_gain for one in gains)
        rows.append(
            {
                "slides": f"dealt out anew {words}, {shuffles} times",
                "joined minus microRNA alone, AUROC": f"{np.mean(gains):+.3f} ({min(gains):+.3f} to {max(gains):+.3f}, "
                "lowest and highest)",
                "as large as with the true pairs": f"{as_large} of {shuffles} (p = {(1 + as_large) / (1 + shuffles):.2g})",
            }
        )
    table = pd.DataFrame(rows).fillna("–")
    table.insert(1, "n", f"{len(truth)}, {int(truth.sum())} glandular")
    return table.assign(source=source)


def patient_rows(cohort: Cohort, fused: Fused, says: SlidesSay) -> pd.DataFrame:
    """One row a pair under its drawn number, answers of the first repeat, NaN where there is none."""
    of = says.slides > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        unrecognised = 1 - says.accepted / says.tiles
    named = {"slide": fused.slide, "microrna": fused.molecular, "joined": fused.joined, "either": fused.either}
    return pd.DataFrame(
        {
            "case": cohort.cases, "kind": np.where(cohort.glandular, "glandular", "squamous"), "slides": says.slides,
            "tiles": says.tiles, "share_not_recognised": unrecognised, "mean_p_glandular": says.glandular,
            "mean_p_squamous": says.squamous,
        }
        | {f"p_glandular_{name}": held.probability[0] for name, held in named.items()}
    )[of].sort_values("case")  # fmt: skip
