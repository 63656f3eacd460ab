"""A second bundle for a list of women: its risk beside that of the bundle at work, and the difference."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray
from streamlit.delta_generator import DeltaGenerator

from cervix.bundle import Bundle, ModelSession
from cervix.bundle.differences import other_question
from cervix.bundle.manifest import Manifest, Model
from cervix.errors import CervixError
from cervix.plain_text import escaped
from cervix.promotion.others import OtherBundle
from pages.parts.patient.both import percent
from pages.parts.shared.frame import kept
from pages.parts.shared.second_bundle import choose_second, status_of

PLACE = "patients"
OTHER, APART = "risk_of_b", "apart"
"""Columns of scores: the risk by B, 0..1, and how far it lies from that by A, whichever is larger."""
RISK_B, DIFFERENCE = "B", "B − A"
ORDER: Mapping[str, tuple[str, bool]] = {"Bundles widest apart first": (APART, False)}


@dataclass(frozen=True)
class SecondRisks:
    """Another bundle, B, beside the one at work, A.

    Attributes
    ----------
    risk : (n,)
        By B, 0..1, NaN where it gives no answer; a row a woman of the scores.
    """

    bundle: Bundle
    session: ModelSession
    risk: NDArray[np.float32]

    @property
    def key(self) -> str:
        """Of what is made with it."""
        return f"{self.bundle.sha256}-{self.session.model.id}"

    def beside(self, scores: pd.DataFrame, column: str) -> pd.DataFrame:
        """The scores with ``OTHER`` and ``APART``; ``column`` holds the risk by A."""
        return scores.assign(**{OTHER: self.risk, APART: np.abs(self.risk - scores[column].to_numpy(float))})

    def shown(self, scores: pd.DataFrame, column: str) -> dict[str, NDArray[np.floating]]:
        """The two columns of a list of women, in % and points."""
        return {RISK_B: scores[OTHER].to_numpy() * 100, DIFFERENCE: (scores[OTHER] - scores[column]).to_numpy() * 100}


def second_risks(
    line: DeltaGenerator, bundle: Bundle, model: Model, key: str, score: Callable[[ModelSession], NDArray[np.float32]]
) -> SecondRisks | None:
    """Offer the bundles whose model of this kind answers the same question; the risks by the one that was chosen.

    Parameters
    ----------
    key : of the table
    score : the risk of each woman by a session of another bundle, 0..1 ``(n,)``
    """

    def unfit(other: OtherBundle) -> str:
        found = _matching(model, other.manifest)
        return "" if isinstance(found, Model) else found

    with line:
        held = choose_second(bundle, PLACE, unfit)
    if held is None:
        return None
    if held.bundle is None:
        st.error(f"The other bundle was refused. {held.problem}", icon=":material/gpp_bad:")
        return None
    found = _matching(model, held.bundle.manifest)
    assert isinstance(found, Model), "only such bundles are offered"
    session = held.bundle.session(found.id)
    try:
        risk = kept("patients_second", (key, held.sha256, found.id), lambda: score(session))
    except CervixError as error:
        st.error(f"B, {escaped(held.bundle.label)}, cannot score this list. {escaped(str(error))}")
        return None
    return SecondRisks(held.bundle, session, risk)


def _matching(model: Model, manifest: Manifest) -> Model | str:
    """The model that answers what ``model`` answers, that of its id first; else why there is none."""
    there = sorted(manifest.of_kind(model.kind), key=lambda item: item.id != model.id)
    reasons = {item.id: other_question(model, item) for item in there}
    fits = [item for item in there if not reasons[item.id]]
    return fits[0] if fits else next(iter(reasons.values()), "it has no model that reads such a list.")


def say_second(second: SecondRisks, bundle: Bundle, model: Model, scores: pd.DataFrame, column: str) -> None:
    """Above the list: which bundle is A and which B, and how far they lie apart."""
    both = scores[[column, OTHER]].notna().all(axis=1).to_numpy(bool)
    apart = 100 * scores.loc[both, APART]
    said = (
        f"n = {int(both.sum()):,} with an answer of both: median {apart.median():.1f} points apart, at most {apart.max():.1f}."
        if both.any()
        else "No woman has an answer of both."
    )
    one_only = int((scores[[column, OTHER]].notna().sum(axis=1) == 1).sum())
    sides = (("A", bundle), ("B", second.bundle))
    labels = ". ".join(f"**{name}: {escaped(of.label)}**, {status_of(of)}" for name, of in sides)
    question = escaped(model.derived_tasks[0].title)
    st.caption(
        f"{labels}: {escaped(second.session.model.title)}. Both answer “{question}”. {said} An answer of one only: "
        f"{one_only:,}. Flags, course, reasons and exports are A's."
    )


def show_second_of(second: SecondRisks, scores: pd.Series, column: str) -> None:
    """Of one woman: the risk by each, and the difference."""
    mine, other = float(scores[column]), float(scores[OTHER])
    words = [percent(risk) if not np.isnan(risk) else "No answer" for risk in (mine, other)]
    gap = "" if np.isnan(mine + other) else f", a difference of {100 * (other - mine):+.1f} points"
    st.info(
        f"**A {words[0]} · B {words[1]}**{gap}. B is {escaped(second.bundle.label)}, {status_of(second.bundle)}.",
        icon=":material/compare:",
    )


COLUMN_CONFIG = {
    RISK_B: st.column_config.NumberColumn(format="%.1f %%", width=64, help="The same risk by the other bundle"),
    DIFFERENCE: st.column_config.NumberColumn(format="%+.1f", width=64, help="Percentage points: B less A"),
}
