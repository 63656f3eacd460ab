"""The model against published risks as tables for people, every cell text."""

import pandas as pd

from cervix.evaluation.comparison import decimal, percent
from cervix.evaluation.published import FACTORS, SCORED_WITHIN, Agreement, StepAgreement, share, share_within

OVERLAPPING, GUIDED = "women (rows overlap)", "guided the simulator"
NOTE = (
    f"A history counts where its published risk is above 0 and its own 95 % interval within a factor of {SCORED_WITHIN:g}. "
    "Median factor: how many times too high or too low. A woman may be in several rows (Cotest-negative is part of "
    "HPV-negative, HPV16+ of HPV-positive), so rows are not independent and the intervals are somewhat too narrow."
)
STEPS_NOTE = (
    "Published management also follows rules that no risk overrides, such as colposcopy for HPV 16; the model's step here is "
    "by its risks alone. Milder: a longer wait, or no treatment yet."
)


def agreement_table(found: list[Agreement]) -> pd.DataFrame:
    """One row an ``Agreement``, as text."""
    many = len({item.source for item in found}) > 1
    return pd.DataFrame(
        [
            {"histories": item.kind, "the simulator": item.rows}
            | ({"model": item.source} if many else {})
            | {"n": f"{item.cells}"}
            | {f"within ×{factor:g}": percent(item.within[factor]) for factor in reversed(FACTORS)}
            | {
                "Spearman": decimal(item.spearman) if item.spearman else "–",
                "median factor": f"{item.factor:.2f}",
                "median model / published": f"{item.ratio:.2f}",
                OVERLAPPING: f"{item.women:,.0f}",
            }
            | {f"women within ×{factor:g}": f"{item.within_by_women[factor] * 100:.1f} %" for factor in reversed(FACTORS)}
            for item in found
        ]
    )


def cells_table(cells: pd.DataFrame) -> pd.DataFrame:
    """Cells as text, for people."""
    return pd.DataFrame(
        {
            "history": cells["history"],
            "women": [f"{women:,.0f}" for women in cells["women"]],
            "published": [share_within(*risk) for risk in cells[["published", "low", "high"]].to_numpy(float)],
            "model": [share(value) for value in cells["model"]],
            "model / published": [f"{ratio:.2f}" for ratio in cells["ratio"]],
            GUIDED: _yes_no(cells["guides"]),
        }
    )


def steps_table(found: StepAgreement) -> pd.DataFrame:
    """The histories in which the model's step is milder than what is published, as text."""
    milder = found.differing[found.differing["milder"]]
    return pd.DataFrame(
        {
            "history": milder["history"],
            "women": [f"{women:,.0f}" for women in milder["women"]],
            "published": milder["published"],
            "model": milder["model"],
            GUIDED: _yes_no(milder["guides"]),
        }
    )


def _yes_no(values: pd.Series) -> list[str]:
    return ["yes" if value else "no" for value in values]
