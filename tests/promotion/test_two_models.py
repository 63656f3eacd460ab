"""Two named models on the held-out cases of both: side by side, question by question, without a verdict."""

from pathlib import Path

import pytest

from cervix import RESEARCH_NOTICE
from cervix.bundle import Bundle
from cervix.errors import BundleError, EvaluationError
from cervix.patients.golden import prove_bundle
from cervix.promotion.two_models import compare_models, compared_words

NAMES = ("history", "history-boosting")


@pytest.fixture(scope="module")
def both(two_histories_root: Path) -> Bundle:
    return prove_bundle(two_histories_root, device="cpu")


def test_two_models_of_one_bundle_are_compared_on_every_question_that_both_answer(both: Bundle) -> None:
    pairs = compare_models((both, NAMES[0]), (both, NAMES[1]))
    assert [pair.question for pair in pairs] == ["CIN2+ within 3 years", "CIN3+ within 5 years"]
    assert all(pair.n == 600 and pair.left_out == 0 for pair in pairs)
    said = compared_words(pairs, NAMES)
    assert "600 held-out cases" in said
    assert all(name in said for name in NAMES)
    assert said.endswith(RESEARCH_NOTICE)


@pytest.mark.parametrize(
    ("second", "error", "said"),
    [("risk-factors", EvaluationError, "not asked the same"), ("nobody", BundleError, "no such model")],
)
def test_what_is_not_asked_the_same_is_not_compared(
    both: Bundle, second: str, error: type[Exception], said: str
) -> None:  # fmt: skip
    with pytest.raises(error, match=said):
        compare_models((both, "history"), (both, second))
