"""A second model for a list of women: its risk beside that of the model at work, the difference, and whose is shown whole."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray
from streamlit.delta_generator import DeltaGenerator

from cervix.bundle import Bundle, ModelSession
from cervix.bundle.differences import other_question
from cervix.bundle.manifest import Model
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
ORDER: Mapping[str, tuple[str, bool]] = {"Models widest apart first": (APART, False)}
SIDE = "patients_side_explained"


@dataclass(frozen=True)
class SecondRisks:
    """Another model, B, of another bundle or of the same, beside the one at work, A.

    Attributes
    ----------
    scores : DataFrame
        What it makes of the table, a row a woman of A's scores.
    column : str
        Of both: the risk, 0..1, NaN where there is no answer.
    """

    bundle: Bundle
    session: ModelSession
    scores: pd.DataFrame
    column: str

    @property
    def key(self) -> str:
        """Of what is made with it."""
        return f"{self.bundle.sha256}-{self.session.model.id}"

    @property
    def risk(self) -> NDArray[np.float32]:
        """By B, 0..1 ``(n,)``, NaN where it gives no answer."""
        return self.scores[self.column].to_numpy(np.float32)

    def beside(self, scores: pd.DataFrame) -> pd.DataFrame:
        """A's scores with ``OTHER`` and ``APART``."""
        return scores.assign(**{OTHER: self.risk, APART: np.abs(self.risk - scores[self.column].to_numpy(float))})

    def shown(self, scores: pd.DataFrame) -> dict[str, NDArray[np.floating]]:
        """The two columns of a list of women, in % and points."""
        return {RISK_B: scores[OTHER].to_numpy() * 100, DIFFERENCE: (scores[OTHER] - scores[self.column]).to_numpy() * 100}

    def words(self, at_work: Bundle) -> str:
        """Which model it is; Markdown."""
        title = escaped(self.session.model.title)
        if self.bundle.sha256 == at_work.sha256:
            return f"{title}, of the same bundle"
        return f"{title}, of {escaped(self.bundle.label)}, {status_of(self.bundle)}"


def second_risks(
    line: DeltaGenerator, bundle: Bundle, model: Model, key: str, column: str, score: Callable[[ModelSession], pd.DataFrame]
) -> SecondRisks | None:
    """Offer the models of this kind that answer the same question, of this bundle and of others; what the chosen one says.

    Parameters
    ----------
    key : of the table
    column : of the scores: the risk
    score : the table, scored by another session, a row a woman
    """

    def fitting(other: OtherBundle) -> list[Model] | str:
        # That of the same id first: it is what was at work there before, or will be.
        there = sorted(other.manifest.of_kind(model.kind), key=lambda item: item.id != model.id)
        reasons = [other_question(model, item) for item in there]
        fits = [item for item, reason in zip(there, reasons, strict=True) if not reason]
        return fits or next(iter(reasons), "it has no model that reads such a list.")

    beside = [item for item in bundle.manifest.of_kind(model.kind) if item.id != model.id]
    own = [item for item in beside if not other_question(model, item, of_one_bundle=True)]
    with line:
        held = choose_second(bundle, PLACE, fitting, what="model", own=own)
    if held is None:
        return None
    if held.bundle is None:
        st.error(f"The other bundle was refused. {held.problem}", icon=":material/gpp_bad:")
        return None
    session = held.bundle.session(held.model_id)
    try:
        scores = kept("patients_second", (key, held.sha256, held.model_id), lambda: score(session))
    except CervixError as error:
        st.error(f"B, {escaped(session.model.title)} of {escaped(held.bundle.label)}, cannot score this list. "
                 f"{escaped(str(error))}")  # fmt: skip
        return None
    return SecondRisks(held.bundle, session, scores, column)


def say_second(second: SecondRisks, bundle: Bundle, model: Model, scores: pd.DataFrame) -> None:
    """Above the list: which model is A and which B, and how far they lie apart."""
    both = scores[[second.column, OTHER]].notna().all(axis=1).to_numpy(bool)
    apart = 100 * scores.loc[both, APART]
    said = (
        f"n = {int(both.sum()):,} with an answer of both: median {apart.median():.1f} points apart, at most {apart.max():.1f}."
        if both.any()
        else "No woman has an answer of both."
    )
    one_only = int((scores[[second.column, OTHER]].notna().sum(axis=1) == 1).sum())
    question = escaped(model.derived_tasks[0].title)
    st.caption(
        f"**A: {escaped(model.title)}**, of {escaped(bundle.label)}, {status_of(bundle)}. **B: {second.words(bundle)}**. Both "
        f"answer “{question}”. {said} An answer of one only: {one_only:,}. Flags, course and exports of the list are A's; of "
        "one woman either is shown whole."
    )


def chosen_side(second: SecondRisks, scores: pd.Series, bundle: Bundle) -> bool:
    """Of one woman: the risk by each and the difference, and a control for whose answer is shown whole; whether that is B's."""
    mine, other = float(scores[second.column]), float(scores[OTHER])
    words = [percent(risk) if not np.isnan(risk) else "No answer" for risk in (mine, other)]
    gap = "" if np.isnan(mine + other) else f", a difference of {100 * (other - mine):+.1f} points"
    with st.container(key="patients_both", gap="small"):
        st.info(f"**A {words[0]} · B {words[1]}**{gap}. B is {second.words(bundle)}.", icon=":material/compare:")
        side = st.segmented_control(
            "Whose answer is shown below", ["A", "B"], default="A", format_func="Shown below: {}".format, key=SIDE,
            required=True, label_visibility="collapsed",
        )  # fmt: skip
    return side == "B"


COLUMN_CONFIG = {
    RISK_B: st.column_config.NumberColumn(format="%.1f %%", width=64, help="The same risk by the other model"),
    DIFFERENCE: st.column_config.NumberColumn(format="%+.1f", width=64, help="Percentage points: B less A"),
}
