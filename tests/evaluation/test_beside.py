"""Two models of a bundle on the same held-out cases, and all of them in a table with what they learned from."""

import numpy as np
import pandas as pd
import pytest

from cervix.bundle import Bundle
from cervix.evaluation.beside import beside, beside_figure, beside_table, beside_verdict, rivals_beside
from cervix.evaluation.comparison import signed
from cervix.evaluation.heldout import load_predictions
from cervix.evaluation.metrics import ranking_interval
from cervix.evaluation.questions import task_scores
from cervix.evaluation.summary import main_figure
from cervix.evaluation.worlds import learned_from, models_table, network_of

ONE, OTHER = "risk-factors", "risk-factors-with-tests"


def test_rivals_are_of_the_same_kind_and_question_and_of_shared_cases(bundle: Bundle) -> None:
    for model in bundle.manifest.models:
        found = [rival.id for rival in rivals_beside(bundle, model, model.main_task)]
        assert found == {ONE: [OTHER], OTHER: [ONE]}.get(model.id, [])


def test_the_difference_is_that_of_both_predictions_on_the_same_draws(bundle: Bundle) -> None:
    model, rival = bundle.manifest.model(ONE), bundle.manifest.model(OTHER)
    found = beside(bundle, model, rival, model.main_task)
    own, others = (load_predictions(bundle, of).set_index("case") for of in (model, rival))
    shared = own.index.intersection(others.index)
    scores = [task_scores(of.loc[shared].reset_index(), model.main_task) for of in (own, others)]
    gain = ranking_interval("auroc", scores[0].positive, scores[0].score, scores[0].groups, rival=scores[1].score)
    assert found.pair.n == len(shared)
    assert found.pair.differences["auroc"] == pytest.approx(gain, abs=1e-6)
    table = beside_table(found).set_index("figure")
    assert table.loc["AUROC", f"{model.short} less {rival.short}"] == signed(gain)
    assert table["n"].str.startswith(f"{len(shared):,}, ").all()


def test_the_verdict_names_nobody_where_the_interval_holds_zero(bundle: Bundle) -> None:
    model, rival = bundle.manifest.model(ONE), bundle.manifest.model(OTHER)
    for first, second in ((model, rival), (rival, model)):
        found = beside(bundle, first, second, first.main_task)
        gain = found.pair.differences["auroc"]
        winner = None if gain.low <= 0 <= gain.high else first if gain.low > 0 else second
        assert beside_verdict(found).startswith("Neither ranks better" if winner is None else f"{winner.short} ranks better")
        assert signed(gain) in beside_verdict(found)


def test_both_curves_are_drawn_of_the_shared_cases(bundle: Bundle) -> None:
    model, rival = bundle.manifest.model(ONE), bundle.manifest.model(OTHER)
    found = beside(bundle, model, rival, model.main_task)
    drawn = beside_figure(found).data
    assert [line.name for line in drawn] == [model.short, rival.short, "Chance"]
    for line, question in zip(drawn, (found.own, found.others), strict=False):
        area = float(np.trapezoid(line.y, line.x))
        assert area == pytest.approx(question.scores.auroc_value())


def test_every_model_stands_in_the_table_with_its_world_and_figure(bundle: Bundle) -> None:
    table: pd.DataFrame = models_table(bundle)
    assert table["model"].tolist() == [model.title for model in bundle.manifest.models]
    for model, (_, row) in zip(bundle.manifest.models, table.iterrows(), strict=True):
        figure = main_figure(bundle, model)
        assert row["AUROC"] == f"{figure.value} ({figure.interval})"
        assert (row["n"], row["world"]) == (figure.n, figure.world)
        assert row["learned from"] == learned_from(model)


def test_a_model_is_called_by_its_network_and_says_that_it_saw_no_cervix(bundle: Bundle) -> None:
    slide = bundle.manifest.model("slide")
    calls = {
        "VGG16 with block 5 fine-tuned": "CNN", "Mean of 3 LSTMs of 48 units": "LSTM", "LightGBM: 139 rounds": "Boosting",
        "log2, logistic regression on six": "Logistic regression", "Something else": slide.short,
    }  # fmt: skip
    assert {said: network_of(slide.model_copy(update={"architecture": said})) for said in calls} == calls
    assert network_of(bundle.manifest.model("hybrid")) == "Hybrid"
    assert slide.organs
    assert not slide.saw_cervix
    assert "no cervix" in learned_from(slide)
    assert "simulated" in learned_from(bundle.manifest.model("history"))
