"""Two named models on the held-out cases that both scored, of two bundles or of one: figures side by side, and no verdict."""

from cervix import RESEARCH_NOTICE
from cervix.bundle import Bundle
from cervix.bundle.differences import other_question
from cervix.errors import EvaluationError
from cervix.evaluation.heldout import held_out
from cervix.evaluation.paired import Pair, compare_answers
from cervix.promotion.comparison import figures_table


def compare_models(first: tuple[Bundle, str], second: tuple[Bundle, str]) -> list[Pair]:
    """Compare two models question by question; the first stands as ``active``, the second as ``candidate``.

    What is promoted is a bundle, so no promotion rule is asked.

    Parameters
    ----------
    first, second : a bundle, and the id of a model of it

    Returns
    -------
    A pair for each question that both answer, in the order of the first.

    Raises
    ------
    BundleError
        Where a bundle has no such model.
    EvaluationError
        Where they answer no question in common, were tested on other cases, or nobody measured one of them.
    """
    (before_of, before), (after_of, after) = ((bundle, bundle.session(name).model) for bundle, name in (first, second))
    asked = {task.id: task for task in after.derived_tasks}
    of_one_bundle = before_of.sha256 == after_of.sha256
    shared = [
        (task, asked[task.id])
        for task in before.derived_tasks
        if task.id in asked and not other_question(before, after, (task, asked[task.id]), of_one_bundle=of_one_bundle)
    ]
    if before.kind != after.kind or not shared:
        raise EvaluationError(
            "The two models are not asked the same",
            expected="a question and an outcome in common",
            found=f"“{before.derived_tasks[0].title}” and “{after.derived_tasks[0].title}”",
        )
    return [
        compare_answers(
            held_out(before_of, before, task, before.threshold(task.id)),
            held_out(after_of, after, same, after.threshold(same.id)),
        )
        for task, same in shared
    ]


def compared_words(pairs: list[Pair], names: tuple[str, str]) -> str:
    """What ``compare_models`` gave of two models of these ids, as text: a table a question, n and intervals with it."""
    parts = []
    for pair in pairs:
        table = figures_table(pair).rename(
            columns={"active": f"A: {names[0]}", "candidate": f"B: {names[1]}", "difference": "B − A"}
        )
        parts += [
            f"{pair.question}: {pair.n:,} held-out cases ({pair.active.positives:,} positive) in {pair.active.groups:,} "
            f"independent groups, left out: {pair.left_out:,}; 95 % intervals, paired bootstrap over groups",
            table.to_string(index=False) + "\n",
        ]
    return "\n".join([*parts, RESEARCH_NOTICE])
