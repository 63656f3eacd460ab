"""What left-out laboratories come to is said in one sentence, computed from the table of the bundle, the worst by name."""

import pandas as pd
import pytest

from cervix.bundle import Bundle
from cervix.errors import BundleError
from cervix.evaluation.left_out import (
    AUROC,
    NONE,
    NOT_MEASURED,
    SOURCE,
    WRONG,
    left_out_table,
    left_out_verdict,
    other_tables,
    verdict_of,
)


def table(*rows: tuple[str, str, str]) -> pd.DataFrame:
    return pd.DataFrame([dict(zip((SOURCE, AUROC, WRONG, "n"), (*row, "9 tiles, 3 groups"), strict=True)) for row in rows])


def test_the_range_and_the_worst_source_of_each_figure_are_named_with_interval_and_size() -> None:
    said = verdict_of(
        table(
            ("Oral", "0.581 (0.500–0.660)", "9.0 % (4.0–17.0)"),
            ("Bone", NONE, "0.0 % (0.0–9.0)"),
            ("Womb", "0.700 (0.650–0.750)", "31.2 % (20.1–45.0)"),
            ("Lung", "0.979 (0.960–0.990)", "2.0 % (0.5–7.0)"),
        )
    )
    assert said == (
        "Left-out laboratories: AUROC 0.58 to 0.98, worst Oral, 0.581 (0.500–0.660), 9 tiles, 3 groups; "
        "answered and wrong 0.0 % to 31.2 % of a source's tiles, worst Womb, 31.2 % (20.1–45.0), 9 tiles, 3 groups."
    )


def test_a_single_source_is_named_once_and_a_table_without_an_auroc_says_nothing_of_one() -> None:
    said = verdict_of(table(("Oral", "0.581 (0.500–0.660)", "9.0 % (4.0–17.0)"), ("Bone", NONE, "0.0 % (0.0–9.0)")))
    assert "AUROC 0.581 (0.500–0.660) (Oral, 9 tiles, 3 groups); " in said
    assert "AUROC" not in verdict_of(table(("Bone", NONE, "0.0 % (0.0–9.0)")))


@pytest.mark.parametrize(
    "broken",
    [
        pd.DataFrame({SOURCE: ["Oral"], "n": ["9 tiles"]}),
        table(("Oral", "high", "9.0 % (4.0–17.0)")),
        table(("Oral", "0.9 (0.8–1.0)", "")),
        table(),
    ],
)
def test_a_table_of_something_else_is_refused(broken: pd.DataFrame) -> None:
    with pytest.raises(BundleError, match="table of left-out laboratories cannot be read: expected columns left out, AUROC"):
        verdict_of(broken)


def test_a_tile_model_without_the_table_says_that_it_was_not_measured_and_others_say_nothing(bundle: Bundle) -> None:
    slide, history = bundle.manifest.model("slide"), bundle.manifest.model("history")
    assert left_out_verdict(bundle, slide).startswith("Left-out laboratories: AUROC 0.58 to 0.94, worst Bowel")
    without = slide.model_copy(update={"evaluation": slide.measured.model_copy(update={"tables": other_tables(slide)})})
    assert left_out_table(without) is None
    assert left_out_verdict(bundle, without) == NOT_MEASURED
    assert left_out_verdict(bundle, history) == ""
