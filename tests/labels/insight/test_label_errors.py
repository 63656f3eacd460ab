"""Labels that were changed on purpose are found."""

import numpy as np
import pandas as pd
import pytest

from cervix.errors import EvaluationError
from cervix.labels.insight.label_errors import label_error_candidates

CLASSES = np.array(["ac", "benign", "scc"])


def labelled(groups: int, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray, set[str]]:
    """Two hundred and forty cases in three clouds, twelve of them with a wrong label; which those are."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(3, size=240)
    embeddings = rng.normal(size=(240, 64)) + 1.5 * np.eye(3, 64)[kind] * 3
    wrong = rng.choice(240, 12, replace=False)
    label = kind.copy()
    label[wrong] = (kind[wrong] + 1) % 3
    table = pd.DataFrame(
        {
            "case_id": [f"case {number}" for number in range(240)],
            "label": CLASSES[label],
            "group_id": [f"slide {number % groups}" for number in range(240)],
        }
    )
    return table, embeddings.astype(np.float32), {f"case {number}" for number in wrong}


@pytest.mark.parametrize("groups", [12, 1])
def test_wrong_labels_are_found_and_few_right_ones_suspected(groups: int) -> None:
    table, embeddings, wrong = labelled(groups)
    found = label_error_candidates(table, embeddings)
    suspected = set(found["case_id"])
    assert len(suspected & wrong) >= 10
    assert len(suspected - wrong) <= 4
    assert (found["label"] != found["suggested"]).all()
    assert (found["label_probability"] < found["suggested_probability"]).all()
    assert found["label_probability"].is_monotonic_increasing


def test_the_same_labels_give_the_same_candidates() -> None:
    table, embeddings, _ = labelled(12)
    pd.testing.assert_frame_equal(label_error_candidates(table, embeddings), label_error_candidates(table, embeddings))


@pytest.mark.parametrize("keep", [0, 3, 12])
def test_too_few_labels_are_refused(keep: int) -> None:
    table, embeddings, _ = labelled(12)
    with pytest.raises(EvaluationError, match="too few labels"):
        label_error_candidates(table[:keep], embeddings[:keep])


def test_labels_of_one_class_are_refused() -> None:
    table, embeddings, _ = labelled(12)
    with pytest.raises(EvaluationError, match="two classes with 5 labels each; found 240 scc"):
        label_error_candidates(table.assign(label="scc"), embeddings)
