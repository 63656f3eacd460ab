"""The loop of improvement: what each step has come to, and which one waits."""

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from cervix.bundle import Bundle
from cervix.bundle.loading import read_manifest
from cervix.improving import LoopFacts, StepId, loop_facts, loop_kappa, loop_steps, newest_folder, waiting_step
from cervix.labels import LabelStore, open_store
from cervix.labels.insight.agreement import all_readers
from cervix.settings import Settings
from tests.bundle.altered import bundle_of_risk_models, edit_manifest
from tests.labels.making import TILES, filled, label

FULL = LoopFacts(cases=120, decided=84, unread=0, kappa=0.714, trainable=True, new=84, candidate="0.7.1")


def states(facts: LoopFacts) -> dict[str, str]:
    return {step.id: step.state for step in loop_steps(facts)}


@pytest.mark.parametrize(
    ("facts", "waits"),
    [
        (LoopFacts(), "gather"),
        (LoopFacts(cases=120, unread=120), "label"),
        (LoopFacts(cases=120, decided=80, unread=36, disputed=4), "label"),
        (LoopFacts(cases=120, decided=116, disputed=4), "agree"),
        (LoopFacts(cases=120, decided=120, trainable=True, new=120), "retrain"),
        (LoopFacts(cases=120, decided=120, trainable=True, new=120, running=True), "retrain"),
        (LoopFacts(cases=120, decided=120, trainable=True), "label"),
        (FULL, "compare"),
        (replace(FULL, difference="+0.010", decision="promote"), "promote"),
        (replace(FULL, candidate="", new=0, promoted="0.7.1"), "label"),
    ],
)
def test_the_step_that_waits_is_the_first_with_something_to_do(facts: LoopFacts, waits: StepId) -> None:
    assert waiting_step(loop_steps(facts)) == waits


def test_each_step_says_what_it_has_come_to() -> None:
    figures = {step.id: step.figure for step in loop_steps(replace(FULL, difference="+0.010", decision="promote"))}
    assert figures == {
        "gather": "120", "label": "84", "agree": "κ 0.71", "retrain": "0.7.1", "compare": "+0.010", "promote": "", "audit": ""
    }  # fmt: skip
    assert {step.figure for step in loop_steps(LoopFacts())} == {""}
    assert states(replace(FULL, candidate="", promoted="0.7.1"))["promote"] == "done"
    assert [step.figure for step in loop_steps(LoopFacts(cases=2, disputed=2)) if step.id == "agree"] == ["2 open"]


def test_facts_are_read_from_store_and_folders_quickly(tmp_path: Path, bundle: Bundle) -> None:
    settings = Settings(home=tmp_path)
    with filled(open_store(settings.label_store_url)) as store:
        for place, case in enumerate(TILES[:10]):
            label(store, case, "Ada", "scc" if place % 2 else "benign")
        label(store, TILES[0], "Ben", "ac")
        label(store, TILES[1], "Ben", "scc")
        label(store, TILES[2], "Ben", "benign")
        kappa = loop_kappa(store)
        facts = loop_facts(store, settings, bundle, kappa)
        assert (facts.cases, facts.decided, facts.unread, facts.disputed) == (14, 9, 4, 1)
        assert (facts.trainable, facts.new, facts.candidate, facts.promoted) == (False, 9, "", "")
        exact = all_readers(store.reads("tile"))
        assert exact is not None
        assert kappa == pytest.approx(exact.interval.value)
        began = time.thread_time()
        loop_facts(store, settings, bundle, kappa)
        assert time.thread_time() - began < 0.5, "it runs with every look at the page"


def test_without_second_reads_there_is_no_agreement(tmp_path: Path) -> None:
    with filled(open_store(f"sqlite:///{tmp_path / 'labels.sqlite'}")) as store:
        empty: LabelStore = store
        assert loop_kappa(empty) is None
        label(store, TILES[0], "Ada", "scc")
        assert loop_kappa(store) is None


def test_the_newest_bundle_that_is_not_the_active_one_is_the_candidate(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    active = bundle_of_risk_models(settings.bundles_dir / "active")
    manifest, sha256 = read_manifest(active)
    running = Bundle(active, manifest, sha256, {}, [])
    assert newest_folder(settings, running) is None
    for age, name in enumerate(("newer", "older")):
        folder = bundle_of_risk_models(settings.bundles_dir / name)
        edit_manifest(folder, lambda told, age=age: told.update(version=f"0.8.{age}"))
        os.utime(folder / "manifest.json", (2e9 - age, 2e9 - age))
    assert newest_folder(settings, running) == settings.bundles_dir / "newer"
    (settings.bundles_dir / "newer/manifest.json").write_text("{")
    os.utime(settings.bundles_dir / "newer/manifest.json", (2e9 + 1, 2e9 + 1))
    assert newest_folder(settings, running) == settings.bundles_dir / "older", "what cannot be read is none"
    os.utime(active / "manifest.json", (2.1e9, 2.1e9))
    assert newest_folder(settings, running) is None, "it was promoted: the older ones were passed over"
