"""What a run over many slides has found, as files: answers, tiles, summary, drift, orders."""

import itertools
import os
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.dataset
import pytest

from cervix import RESEARCH_NOTICE
from cervix.archive.ledger import LEDGER_NAME
from cervix.archive.results.answers import answers_table
from cervix.archive.results.drift import (
    FALSE_ALARMS,
    NOT_RECOGNISED,
    QUALITY,
    SLIDES_AT_LEAST,
    HeldOut,
    _p_value,
    drift_table,
    held_out_shares,
)
from cervix.archive.results.listing import Narrowing, facet_values, listed_rows
from cervix.archive.results.orders import ORDERS
from cervix.archive.results.reading import reading
from cervix.archive.results.watching import watched
from cervix.archive.results.writing import write_results, written_summary
from cervix.bundle import Bundle
from cervix.errors import ArchiveRunRefused
from cervix.evaluation.drift import MATTERS
from cervix.evaluation.heldout import load_predictions
from cervix.slides.exports import tile_table
from cervix.slides.results import save_score
from cervix.slides.scoring import SlideScore, score_slide
from cervix.sources.opening import open_slide
from tests.archive.made_runs import ANSWERED, ENDED_AT, bundle_of, locator_of, made_run, scored_slide

REFUSED = {"state": "refused", "code": "slide-not-readable", "reason": "The slide cannot be read", "slide_sha256": ""}


@pytest.fixture(scope="module")
def carcinoma_score(carcinoma_slide: Path, bundle: Bundle) -> SlideScore:
    return score_slide(open_slide(carcinoma_slide), bundle)


@pytest.fixture
def real_run(tmp_path: Path, bundle: Bundle, carcinoma_score: SlideScore) -> Path:
    """A run with one real score, a refused slide and one that waits."""
    out = tmp_path / "run"
    slides = [scored_slide(carcinoma_score, out / "results", site="Oslo", day="2026-11-01"), REFUSED, {"slide_sha256": ""}]
    made_run(out, *bundle_of(bundle), slides)
    return out


def test_answers_hold_every_slide_with_its_facts_or_its_reason(real_run: Path, carcinoma_score: SlideScore) -> None:
    written = write_results(real_run)
    table = pd.read_parquet(written.folder / "answers.parquet").set_index("place")
    answer = carcinoma_score.summary.answer
    assert table["state"].to_list() == ["done", "refused", "waiting"]
    assert table.loc[1, ["verdict", "headline", "tiles"]].to_list() == [answer.verdict, answer.headline, answer.tiles]
    assert {name: table.loc[1, f"tiles_of_{name}"] for name in answer.class_tiles} == answer.class_tiles
    assert table.loc[1, "scored_at"] == carcinoma_score.summary.provenance.created
    assert table.loc[2, ["code", "reason"]].to_list() == ["slide-not-readable", "The slide cannot be read"]
    assert table.loc[2, ["verdict", "cancerous_low", "worklist_suspicious"]].isna().all()
    assert set(table["notice"]) == {RESEARCH_NOTICE}
    assert set(table["bundle"]) == {"Made 1.0.0 (0123abcd)"}


def test_tiles_are_a_dataset_partitioned_by_slide_with_what_one_slide_exports(
    real_run: Path, bundle: Bundle, carcinoma_score: SlideScore
) -> None:
    written = write_results(real_run)
    dataset = pyarrow.dataset.dataset(written.folder / "tiles", partitioning="hive")
    read = dataset.to_table(filter=pyarrow.dataset.field("slide") == carcinoma_score.summary.slide_sha256).to_pandas()
    expected = tile_table(carcinoma_score, bundle.session_of("tile").model)
    pd.testing.assert_frame_equal(read[list(expected)], expected, check_dtype=False)
    assert {"read", "recognised", "bundle_sha256", "notice"} <= set(read)


def test_what_was_written_once_is_written_again_only_where_the_score_is_a_newer_one(
    real_run: Path, bundle: Bundle, carcinoma_score: SlideScore
) -> None:
    assert write_results(real_run).parts == 1
    assert write_results(real_run).parts == 0
    scored_slide(carcinoma_score, real_run / "results")
    assert write_results(real_run).parts == 1
    summary = real_run / "results" / carcinoma_score.summary.slide_sha256 / bundle.sha256 / "summary.json"
    summary.unlink()
    again = write_results(real_run)
    assert (again.parts, again.gone) == (0, 0)  # its part is there
    table = pd.read_parquet(again.folder / "answers.parquet")
    # Known from before, though the slide's own file is gone.
    assert table.loc[0, "scored_at"] == carcinoma_score.summary.provenance.created


def test_tiles_are_those_of_the_bundle_that_scored_the_slide_last_however_old_its_score(
    real_run: Path, carcinoma_score: SlideScore
) -> None:
    other = "d" * 64
    summary = carcinoma_score.summary
    provenance = replace(summary.provenance, bundle_sha256=other)
    score = replace(carcinoma_score, summary=summary.model_copy(update={"provenance": provenance}))
    path = save_score(real_run / "results", score) / "summary.json"
    os.utime(path, (1_000_000_000, 1_000_000_000))
    write_results(real_run)
    with closing(sqlite3.connect(real_run / LEDGER_NAME)) as connection, connection:
        connection.execute("UPDATE slides SET bundle_sha256 = ? WHERE place = 1", (other,))
    written = write_results(real_run)
    part = pd.read_parquet(written.folder / "tiles" / f"slide={summary.slide_sha256}" / "part.parquet")
    assert set(part["bundle_sha256"]) == {other}
    assert write_results(real_run).parts == 0


def test_a_scored_slide_whose_files_are_gone_is_told(real_run: Path, carcinoma_score: SlideScore) -> None:
    for path in (real_run / "results" / carcinoma_score.summary.slide_sha256).rglob("tiles.parquet"):
        path.unlink()
    assert write_results(real_run).gone == 1


def test_the_summary_counts_slides_and_gives_shares_with_intervals(tmp_path: Path, bundle: Bundle) -> None:
    slides = [
        *[ANSWERED] * 6,
        *[{**ANSWERED, "verdict": "cancer", "quality": "blurred, pen", "scanner": "hamamatsu", "tiles_per_s": 10.0}] * 2,
        {**ANSWERED, "verdict": "abstained", "unrecognised_tiles": 90, "quality": "pen", "tiles_per_s": 0.0},
        REFUSED, REFUSED,
        {"state": "quarantined", "code": "worker-lost", "reason": "Its worker died", "slide_sha256": ""},
        {"state": "duplicate"},
    ]  # fmt: skip
    made_run(tmp_path, *bundle_of(bundle), slides)
    written = write_results(tmp_path, tiles=False)
    summary = written.summary
    assert summary.states == {"done": 9, "refused": 2, "quarantined": 1, "duplicate": 1}
    assert {one.name: (one.slides, one.of) for one in summary.verdicts} == {
        "Cancer": (2, 9), "Undecided": (0, 9), "No cancerous tile": (6, 9), "No answer": (1, 9),
    }  # fmt: skip
    cancer = summary.verdicts[0].share
    # Wilson 1927: (2 + z²/2)/(9 + z²) ± ...; from statsmodels 0.15 proportion_confint(2, 9, method="wilson").
    assert (round(cancer.low, 4), round(cancer.high, 4)) == (0.0632, 0.5474)
    assert summary.not_recognised is not None
    assert (summary.not_recognised.slides, summary.not_recognised.of) == (1, 9)
    assert summary.not_recognised.share.value == pytest.approx(0.1)
    assert {one.name: one.slides for one in summary.quality} == {"pen": 3, "blurred": 2}
    assert [(one.code, one.state, one.slides) for one in summary.refusals] == [
        ("slide-not-readable", "refused", 2), ("worker-lost", "quarantined", 1),
    ]  # fmt: skip
    # The score that was there already says nothing of speed.
    assert {one.name: (one.slides, one.median_tiles_per_s) for one in summary.by_scanner} == {
        "aperio": (6, 30.0), "hamamatsu": (2, 10.0),
    }  # fmt: skip
    words = (written.folder / "summary.md").read_text(encoding="utf-8")
    assert RESEARCH_NOTICE in words
    assert "| Cancer | 2 of 9 | 22.2 % (6.3–54.7) |" in words
    assert locator_of(1) not in words
    assert written_summary(tmp_path) is not None


def test_an_empty_run_and_a_folder_without_one(tmp_path: Path, bundle: Bundle) -> None:
    made_run(tmp_path / "empty", *bundle_of(bundle), [])
    summary = write_results(tmp_path / "empty").summary
    assert (summary.slides, summary.verdicts, summary.not_recognised) == (0, [], None)
    with pytest.raises(ArchiveRunRefused, match="no run in this folder"):
        write_results(tmp_path)
    assert written_summary(tmp_path) is None


def drift_of(slides: pd.DataFrame, bundle: Bundle, held_out: dict[str, HeldOut]) -> pd.DataFrame:
    model = bundle.session_of("tile").model
    table = pd.DataFrame({"tiles": 100, "unrecognised_tiles": 0, "quality": "", "site": "", "day": ""}, index=slides.index)
    counts = {f"tiles_of_{name}": 50 for name in model.class_ids}
    return drift_table(table.assign(**counts).assign(**slides), model, held_out).set_index(["by", "group", "measure"])


def test_a_site_whose_tiles_are_not_recognised_is_flagged_and_one_with_few_slides_is_not(bundle: Bundle) -> None:
    rng = np.random.default_rng(0)
    held_out = {NOT_RECOGNISED: HeldOut(rng.uniform(0.0, 0.2, 60))}
    slides = pd.concat(
        [
            pd.DataFrame({"site": "like the bundle", "unrecognised_tiles": rng.integers(0, 20, 30)}),
            pd.DataFrame({"site": "strange", "unrecognised_tiles": rng.integers(40, 90, 30)}),
            pd.DataFrame({"site": "small", "unrecognised_tiles": [95] * (SLIDES_AT_LEAST - 1)}),
        ],
        ignore_index=True,
    )
    table = drift_of(slides, bundle, held_out).loc["site"].xs(NOT_RECOGNISED, level="measure")
    assert table["flag"].to_dict() == {
        "like the bundle": "not shown to differ", "small": "too few slides to tell", "strange": "flagged",
    }  # fmt: skip
    assert table.loc["strange", "compared_with"] == "held-out tiles"
    assert table.loc["strange", "reference_n"] == 60
    assert table.loc["small", "value"] == pytest.approx(0.95)
    assert table.loc["small", "low"] < 0.8  # nine slides, whatever tiles they have


def test_classes_and_quality_are_held_against_the_rest_of_the_run(bundle: Bundle) -> None:
    slides = pd.DataFrame({"site": ["a"] * 20 + ["b"] * 20 + ["c"] * 20, "quality": [""] * 40 + ["blurred"] * 20})
    table = drift_of(slides, bundle, {}).loc["site"].xs(QUALITY, level="measure")
    assert table["flag"].to_dict() == {"a": "flagged", "b": "flagged", "c": "flagged"}
    assert table.loc["c", ["value", "reference"]].to_list() == [1.0, 0.0]
    assert table.loc["a", ["value", "reference"]].to_list() == [0.0, 0.5]
    alone = drift_of(slides.assign(site="a"), bundle, {}).loc["site"].xs(QUALITY, level="measure")
    assert alone["flag"].to_dict() == {"a": "nothing to compare with"}


def test_many_sites_and_days_by_chance_alone_raise_few_alarms(bundle: Bundle) -> None:
    rng = np.random.default_rng(4)
    held_out = {NOT_RECOGNISED: HeldOut(rng.beta(1, 4, 200))}
    slides = pd.DataFrame(
        {
            "site": rng.integers(0, 40, 800).astype(str),
            "day": rng.integers(0, 40, 800).astype(str),
            "unrecognised_tiles": (100 * rng.beta(1, 4, 800)).round().astype(int),
            "quality": rng.choice(["", "pen"], 800),
        }
    )
    table = drift_of(slides, bundle, held_out)
    tested = table["p_value"].notna()
    assert tested.sum() > 400
    apart = (table.loc[tested, "value"] - table.loc[tested, "reference"]).abs()
    assert (apart > 0.1).sum() > 5  # which by their size alone would have been called
    assert (table["flag"] == "flagged").sum() == 0


def test_nine_slides_or_nine_held_out_groups_are_not_tested_and_ten_are(bundle: Bundle) -> None:
    def flag(slides: int, groups: int) -> str:
        table = drift_of(
            pd.DataFrame({"site": "a", "unrecognised_tiles": [90, 100] * slides}).head(slides), bundle,
            {NOT_RECOGNISED: HeldOut(np.linspace(0, 0.1, groups))},
        )  # fmt: skip
        return str(table.loc["site"].xs(NOT_RECOGNISED, level="measure")["flag"].item())

    assert [flag(*given) for given in ((10, 10), (9, 10), (10, 9))] == ["flagged", *["too few slides to tell"] * 2]


def test_of_all_that_is_flagged_one_in_twenty_may_be_a_false_alarm(bundle: Bundle) -> None:
    assert FALSE_ALARMS == 0.05
    held_out = {NOT_RECOGNISED: HeldOut(np.full(10, 0.3))}
    slides = pd.DataFrame({"site": "a", "unrecognised_tiles": [34, 55] * 6})
    table = drift_of(slides, bundle, held_out)
    tested = table[table["p_value"].notna()]
    assert 0.05 < tested["adjusted_p"].min() < 0.3
    assert set(tested["flag"]) == {"not shown to differ"}


def test_means_just_as_far_apart_as_matters_are_flagged_as_rarely_as_is_said() -> None:
    rng = np.random.default_rng(6)
    called = [
        _p_value(rng.normal(MATTERS, 1, SLIDES_AT_LEAST), rng.normal(0, 1, SLIDES_AT_LEAST)) <= FALSE_ALARMS
        for _ in range(4000)
    ]
    assert 0.04 < np.mean(called) < 0.06


def test_a_trifle_that_thousands_of_slides_prove_is_not_flagged(bundle: Bundle) -> None:
    rng = np.random.default_rng(5)
    held_out = {NOT_RECOGNISED: HeldOut(rng.beta(2, 8, 400))}
    slides = pd.DataFrame({"site": "a", "unrecognised_tiles": (100 * rng.beta(2.4, 8, 5000)).round().astype(int)})
    table = drift_of(slides, bundle, held_out).loc["site"].xs(NOT_RECOGNISED, level="measure")
    assert table["flag"].to_list() == ["not shown to differ"]


def test_what_the_held_out_tiles_expect_counts_groups_and_goes_by_the_rule_of_novelty(bundle: Bundle) -> None:
    model = bundle.session_of("tile").model
    predictions = load_predictions(bundle, model)
    strange = predictions["group"].isin(predictions["group"].unique()[:3])
    novelty = predictions["novelty"].where(~strange, 1e6)
    shares = held_out_shares(predictions.assign(novelty=novelty), model)
    groups = predictions["group"].nunique()
    assert len(shares[NOT_RECOGNISED].groups) == groups
    assert shares[NOT_RECOGNISED].share.value == pytest.approx(3 / groups)
    assert held_out_shares(predictions.drop(columns="novelty"), model) == {}


def test_every_order_is_total_and_puts_first_what_it_says(tmp_path: Path, bundle: Bundle) -> None:
    slides = [
        {**ANSWERED, "day": "2026-02-01"},
        {**ANSWERED, "verdict": "cancer", "cancerous_low": 0.35, "day": "2026-01-01", "ended_at": ENDED_AT + 9},
        {**ANSWERED, "verdict": "undecided", "cancerous_low": 0.1},
        {**ANSWERED, "verdict": "abstained", "cancerous_share": None, "cancerous_low": None},
        REFUSED,
    ]  # fmt: skip
    made_run(tmp_path, *bundle_of(bundle), slides)
    first = {
        "suspicious": [2, 3, 1, 4, 5],
        "undecided": [3, 4, 2, 1, 5],
        "oldest": [2, 1, 3, 4, 5],
        "newest-answer": [2, 1, 3, 4, 5],
    }
    with reading(tmp_path) as connection:
        assert {
            order: [row["place"] for row in listed_rows(connection, Narrowing(order=order), 0, 10)[0]] for order in ORDERS
        } == first
    ranks = write_results(tmp_path, tiles=False)
    table = pd.read_parquet(ranks.folder / "answers.parquet")
    assert table["worklist_undecided"].to_list()[:4] == [4, 3, 1, 2]
    assert table["worklist_undecided"].isna().to_list() == [False] * 4 + [True]


def test_the_list_is_narrowed_by_facets_and_text_and_shown_a_page_at_a_time(tmp_path: Path, bundle: Bundle) -> None:
    slides = [
        {**ANSWERED, "site": site, "verdict": verdict, "day": "2026-11-01" if verdict == "cancer" else "2026-11-02"}
        for site, verdict in itertools.product(["Oslo", "Rome"], ["cancer", "undecided"])
    ] * 5
    made_run(tmp_path, *bundle_of(bundle), [*slides, {**REFUSED, "reason": "100% damaged"}])
    with reading(tmp_path) as connection:
        narrowing = Narrowing((("site", ("Oslo",)), ("verdict", ("cancer", "undecided")), ("state", ())))
        page, count = listed_rows(connection, narrowing, 8, 4)
        assert (len(page), count) == (2, 10)
        assert {row["site"] for row in page} == {"Oslo"}
        assert listed_rows(connection, Narrowing(text="SLIDE 00003"), 0, 9)[0][0]["place"] == 3
        assert listed_rows(connection, Narrowing(text="0%"), 0, 9)[1] == 1  # a per cent sign is no wildcard
        assert facet_values(connection, "day") == [("2026-11-02", 10), ("2026-11-01", 10)]
        assert facet_values(connection, "site") == [("Oslo", 10), ("Rome", 10)]
        with pytest.raises(ValueError, match="no facet"):
            facet_values(connection, "reason")


def test_a_running_run_is_watched_by_its_ledger(tmp_path: Path, bundle: Bundle) -> None:
    slides = [
        *[{**ANSWERED, "ended_at": ENDED_AT + 10 * place} for place in range(6)],
        {**ANSWERED, "ended_at": ENDED_AT + 60, "tiles_per_s": 0.0},
        {"state": "running", "site": "Oslo", "attempts": 2}, *[{}] * 11, REFUSED | {"ended_at": ENDED_AT + 60},
    ]  # fmt: skip
    made_run(tmp_path, *bundle_of(bundle), slides)
    with reading(tmp_path) as connection:
        now = watched(connection, ENDED_AT + 70)
    assert (now.slides, now.ended) == (20, 8)
    assert now.per_minute == pytest.approx(6.0)
    assert now.left_s == pytest.approx(120.0)
    # The first of them began before; a score that was there already took no time.
    assert now.tiles_per_s == pytest.approx(100 * 5 / 70)
    assert [(one.code, one.slides) for one in now.failures] == [("slide-not-readable", 1)]
    with reading(tmp_path) as connection:
        assert watched(connection, ENDED_AT + 7200).per_minute is None


def test_nothing_is_said_of_the_speed_just_after_the_first_slide(tmp_path: Path, bundle: Bundle) -> None:
    made_run(tmp_path, *bundle_of(bundle), [ANSWERED, {}])
    with reading(tmp_path) as connection:
        now = watched(connection, ENDED_AT + 0.001)
    assert (now.tiles_per_s, now.per_minute) == (0.0, None)


def test_a_ledger_that_is_none_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(ArchiveRunRefused, match="ledger of this run cannot be read"), reading(tmp_path):
        pass
    (tmp_path / "ledger.sqlite").write_bytes(b"no database at all " * 99)
    with pytest.raises(ArchiveRunRefused, match="ledger of this run cannot be read"), reading(tmp_path) as connection:
        connection.execute("SELECT * FROM slides")


def test_reading_never_writes(tmp_path: Path, bundle: Bundle) -> None:
    order = made_run(tmp_path, *bundle_of(bundle), [ANSWERED])
    with pytest.raises(ArchiveRunRefused), reading(tmp_path) as connection:
        connection.execute("DELETE FROM slides")
    assert len(answers_table(tmp_path, order, [])) == 1
