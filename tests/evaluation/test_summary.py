"""What a summary says is computed from the bundle: verdict, figures, strongest rival, worst failure."""

import re
from pathlib import Path

import pandas as pd
import pytest

from cervix.bundle import Bundle, Model
from cervix.errors import BundleError
from cervix.evaluation import leakage, published
from cervix.evaluation.comparison import flagged_in_words
from cervix.evaluation.heldout import load_predictions
from cervix.evaluation.leakage import Protocol
from cervix.evaluation.questions import task_scores
from cervix.evaluation.summary import (
    ACCEPTABLE,
    EXCELLENT,
    auroc_short,
    ranking_word,
    strongest_rival,
    summary_of,
    world_of,
)
from cervix.evaluation.summary_chart import rivals_figure, summary_figure
from cervix.intervals import Interval
from cervix.patients.golden import prove_bundle
from tests.bundle.altered import bundle_of_risk_models, replace_file

LEAK_TABLE = pd.DataFrame(
    [
        ("Honest: risk factors alone", "no", "0.660 (0.576–0.736)", "835 rows"),
        ("The other tests among the inputs", "no", "0.951 (0.915–0.977)", "835 rows"),
        ("Risk factors alone, rows repeated", "LEAKED", "0.658 (0.582–0.731)", "858 rows"),
        ("Risk factors alone, positives copied", "LEAKED", "0.997 (0.994–0.999)", "1,606 rows"),
        ("The notebooks' way: other tests", "LEAKED", "1.000 (1.000–1.000)", "1,606 rows"),
    ],
    columns=["protocol", "leaked", "AUROC", "n"],
)


def auroc_of(bundle: Bundle, model: Model, task_id: str) -> float:
    return task_scores(load_predictions(bundle, model), model.task_named(task_id)).auroc_value()


def test_a_tile_model_is_told_by_its_left_out_laboratories(bundle: Bundle) -> None:
    model = bundle.manifest.model("slide")
    summary = summary_of(bundle, model)
    inside = auroc_short(auroc_of(bundle, model, model.cancer_task.id))
    assert summary.verdict.startswith(
        f"Holds within its laboratories (AUROC {inside}), falls to 0.58 in the worst of 2 new ones."
    )
    assert [figure.value for figure in summary.figures][:2] == [inside, "0.58"]
    assert (summary.figures[1].interval, summary.figures[1].n) == ("0.50–0.66", "120 tiles, 40 groups")
    assert summary.facts["Worst failure"].startswith("Bowel, left out: 31.0 % (20.1–45.0)")
    assert "Nobody's paper: accuracy 90 %" in summary.facts["Published, measured"]
    assert summary.picture == "laboratories"


def test_a_history_model_is_told_by_the_published_risks_of_real_women(published_bundle: Bundle) -> None:
    model = published_bundle.manifest.model("history")
    table = published.published_risks(published_bundle, model)
    near = published.leading_agreement(table, *published.DEFAULT)[0]
    worst = published.worst_cells(table[~table["guides"]], *published.DEFAULT, count=1).iloc[0]
    summary = summary_of(published_bundle, model)
    share = f"{100 * near.within[2.0].value:.0f} %"
    assert f"in {share} of {near.cells} histories that did not guide the simulator" in summary.verdict
    assert (summary.figures[1].value, summary.figures[1].n) == (share, f"{near.cells} histories")
    assert summary.figures[1].world.startswith("published, real women")
    assert worst["history"][1:] in summary.facts["Worst failure"]
    assert summary.picture == "published"


def test_a_history_model_without_published_risks_is_told_by_its_rivals(bundle: Bundle) -> None:
    summary = summary_of(bundle, bundle.manifest.model("history"))
    assert summary.picture == "rivals"
    assert "simulated women" in summary.verdict
    assert {figure.world for figure in summary.figures} == {"simulated women, held out", "the same cases"}


def test_a_table_model_is_told_by_what_a_leak_makes_of_the_same_table(bundle: Bundle) -> None:
    model = bundle.manifest.model("risk-factors")
    summary = summary_of(bundle, model)
    value = auroc_of(bundle, model, "biopsy")
    assert summary.verdict.startswith(f"{ranking_word(value)}: AUROC {auroc_short(value)}.")
    assert "A leak makes 0.99 of an honest 0.66 on the same table." in summary.verdict
    assert summary.facts["Worst failure"].startswith("Copies before the split: AUROC 0.990 (0.980–0.995) where 0.660")
    assert summary.picture == "leakage"


def test_every_model_of_the_shipped_bundle_has_three_figures_each_with_interval_size_and_world(shipped_bundle: Bundle) -> None:
    for model in shipped_bundle.manifest.models:
        summary = summary_of(shipped_bundle, model)
        assert len(summary.figures) == 3, model.id
        assert all("–" in figure.interval and figure.n[0].isdigit() and figure.world for figure in summary.figures)
        assert list(summary.facts) == ["Strongest rival", "Worst failure", "Published, measured"]
        assert len(summary.verdict) < 220
        assert summary_figure(shipped_bundle, model, summary.picture).data
    crossed = summary_of(shipped_bundle, shipped_bundle.manifest.model("risk-factors"))
    assert "in repeated cross-validation" in crossed.verdict
    assert "LSTM minus regression" in crossed.facts["Strongest rival"]
    hybrid = summary_of(shipped_bundle, shipped_bundle.manifest.model("hybrid"))
    assert re.search(r"misses \d+ of \d+ pairs that have it and flags \d+ of [\d,]+ that do not", hybrid.facts["Worst failure"])
    assert hybrid.facts["Published, measured"].startswith("Nothing is published")


def test_the_strongest_rival_is_no_oracle_and_its_gain_is_measured_on_the_same_draws(shipped_bundle: Bundle) -> None:
    model = shipped_bundle.manifest.model("history")
    rival = strongest_rival(shipped_bundle, model, model.main_task)
    assert "oracle" in {baseline.id for baseline in model.measured.baselines}
    assert rival is not None
    assert not rival.title.startswith("Oracle")
    assert rival.gain.value == pytest.approx(auroc_of(shipped_bundle, model, model.main_task.id) - rival.auroc.value, abs=1e-9)
    assert rival.gain.high - rival.gain.low < rival.auroc.high - rival.auroc.low, "paired"


def test_a_broken_table_is_refused_by_name(tmp_path: Path) -> None:
    root = bundle_of_risk_models(tmp_path / "bundle")
    replace_file(root, "risk-factors/leakage.csv", b"protocol,leaked,AUROC,n\nHonest,no,high,9 rows\n")
    broken = prove_bundle(root, device="cpu")
    with pytest.raises(BundleError, match="The table of leaks cannot be read"):
        summary_of(broken, broken.manifest.model("risk-factors"))


def test_a_leak_is_held_against_the_honest_protocol_of_the_same_inputs() -> None:
    found = leakage.protocols(LEAK_TABLE)
    assert [(honest.auroc.value, leaked.auroc.value) for honest, leaked in leakage.leaks(found)] == [
        (0.66, 0.997),
        (0.951, 1.0),
    ]
    honest, leaked = leakage.leak(found, 0.93)
    assert (honest.auroc.value, leaked.auroc.value) == (0.951, 1.0)
    assert leakage.leak([Protocol("Honest", False, Interval(0.6, 0.5, 0.7), "9 rows")], 0.6) is None


def test_the_words_of_a_ranking_change_where_the_book_says() -> None:
    assert (ACCEPTABLE, EXCELLENT) == (0.7, 0.8)
    assert [ranking_word(value) for value in (0.699, 0.7, 0.799, 0.8)] == [
        "Tells little", "Ranks acceptably", "Ranks acceptably", "Ranks well",
    ]  # fmt: skip
    assert [auroc_short(value) for value in (0.9949, 0.997, 1.0)] == ["0.99", ">0.99", "1.00"]


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        (157, 4348, "About 28 of 29 flagged women do not have it."),
        (144, 9, "About 16 of 17 flagged women have it."),
        (5, 5, "About 1 of 2 flagged women do not have it."),
        (0, 3, "None of 3 flagged women has it."),
        (3, 0, "All of 3 flagged women have it."),
        (0, 0, "No women are flagged."),
    ],
)
def test_a_predictive_value_is_told_as_people_count(right: int, wrong: int, said: str) -> None:
    assert flagged_in_words(right, wrong, "women") == said


def test_laboratories_are_drawn_the_worst_first_and_rivals_after_the_model(bundle: Bundle) -> None:
    model = bundle.manifest.model("slide")
    figure = summary_figure(bundle, model, "laboratories")
    assert list(figure.layout.yaxis.categoryarray)[::-1] == ["Bowel", "Lung", "All it learned from"]
    assert {trace.name for trace in figure.data} >= {"This model", "Colour statistics", "Frozen features"}
    drawn = rivals_figure([("This model", Interval(0.9, 0.8, 0.95)), ("Colour", Interval(0.7, 0.6, 0.8))])
    assert list(drawn.layout.yaxis.categoryarray)[::-1] == ["This model", "Colour"]


def test_the_world_of_every_model_is_named(shipped_bundle: Bundle) -> None:
    assert {model.id: world_of(model) for model in shipped_bundle.manifest.models} == {
        "slide": "real tissue", "history": "simulated women", "history-boosting": "simulated women", "hybrid": "made-up pairs",
        "molecular": "real tumours of the cervix", "risk-factors": "real women", "risk-factors-with-tests": "real women",
    }  # fmt: skip
