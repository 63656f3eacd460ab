"""A bundle becomes active and is taken back in one step, by the rules, and every attempt is written down."""

import errno
import io
import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cervix.bundle import load_bundle
from cervix.bundle.active import POINTER_NAME, Promotion, active_bundle, active_root, changing, promotion_line
from cervix.errors import BundleError, LabelRefused, LabelStoreUnavailable, PromotionRefused
from cervix.labels import LabelStore, open_store
from cervix.patients.golden import GoldenTables
from cervix.promotion.comparison import BundleComparison, compare_bundles
from cervix.promotion.promote import check_promotable, promote, roll_back
from cervix.settings import Settings
from tests.bundle.altered import bundle_of_risk_models, candidate_of_risk_models, edit_manifest, replace_file
from tests.bundle.promoters import change_until_killed, promote_at_once, roll_back_at_once

KILLS = 30
WAIT_S = 60.0
REASON = "The new scanner needs it."


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A server with the small bundle and a home of its own."""
    return Settings(home=tmp_path / "home", bundle_dir=bundle_of_risk_models(tmp_path / "shipped"), device="cpu", labels_url="")


@pytest.fixture
def store(settings: Settings) -> Iterator[LabelStore]:
    with open_store(settings.label_store_url) as opened:
        yield opened


@pytest.fixture
def candidate(settings: Settings) -> Path:
    """A candidate of which every rule is met."""
    return candidate_of_risk_models(settings.bundles_dir / "candidate", "0.9.0")


@pytest.fixture
def worse(settings: Settings) -> Path:
    """A candidate that the rules refuse."""
    return candidate_of_risk_models(settings.bundles_dir / "worse", "0.9.1", worse=True)


def compared(settings: Settings, folder: Path) -> BundleComparison:
    return compare_bundles(load_bundle(active_root(settings), device="cpu"), load_bundle(folder, device="cpu"))


def promoted(settings: Settings, folder: Path, store: LabelStore, **more: str) -> Promotion:
    return promote(settings, folder, compared(settings, folder), store, "Ada", **more)


def trail(store: LabelStore) -> list[str]:
    """What was written down, the oldest first."""
    return store.audit_trail()["what"].tolist()[::-1]


class TestActive:
    def test_without_a_promotion_the_bundle_that_ships_is_active(self, settings: Settings) -> None:
        assert active_root(settings) == settings.bundle_dir
        assert not settings.home.exists(), "asking makes nothing"

    @pytest.mark.parametrize("content", ["", "{", '{"promotions": [{"folder": "../x"}]}', '{"other": 1}'])
    def test_a_damaged_line_is_said_and_no_bundle_takes_its_place(self, settings: Settings, content: str) -> None:
        settings.home.mkdir()
        (settings.home / POINTER_NAME).write_text(content)
        with pytest.raises(
            BundleError, match=r"record of which bundle is active cannot be read.*Restore the file from a backup"
        ):
            active_root(settings)

    def test_a_promoted_bundle_that_is_gone_or_another_is_said_and_no_bundle_takes_its_place(
        self, settings: Settings, store: LabelStore, candidate: Path
    ) -> None:
        promoted(settings, candidate, store)
        edit_manifest(candidate, lambda manifest: manifest["changelog"].append("changed behind the app's back"))
        with pytest.raises(BundleError, match=r"not in its folder.*found another bundle\. Put the folder back .* or roll back"):
            active_bundle(settings)
        shutil.rmtree(candidate)
        with pytest.raises(BundleError, match=r"found No such file or directory\. Put the folder back .* or roll back"):
            active_bundle(settings)

    def test_a_promoted_bundle_whose_files_changed_is_refused_with_the_way_back(
        self, settings: Settings, store: LabelStore, candidate: Path
    ) -> None:
        promoted(settings, candidate, store)
        (candidate / "risk-factors/golden.npz").write_bytes(b"damaged")
        with pytest.raises(BundleError, match=r"risk-factors/golden\.npz has the wrong size.* or roll back"):
            active_bundle(settings).load("cpu", GoldenTables())


class TestPromote:
    def test_a_candidate_that_meets_every_rule_becomes_active_and_is_written_down(
        self, settings: Settings, store: LabelStore, candidate: Path
    ) -> None:
        before = active_bundle(settings)
        promotion = promoted(settings, candidate, store)
        active = active_bundle(settings)
        assert (active.root, active.sha256) == (candidate, promotion.sha256)
        assert (active.line.promotions, active.line.changed_by, promotion.reason) == ((promotion,), "Ada", "")
        assert active.load("cpu", GoldenTables()).label == promotion.label
        entry = store.audit_trail().iloc[0]
        assert (entry["who"], entry["what"], entry["subject"]) == ("Ada", "promote", promotion.label)
        assert (entry["detail"]["from_sha256"], entry["detail"]["to_sha256"]) == (before.sha256, active.sha256)
        assert {rule["finding"] for rule in entry["detail"]["rules"]} == {"met"}
        assert entry["detail"]["verdict"].startswith("Promote: every rule is met")
        assert entry["detail"]["margins"] == {"auroc": 0.02, "recall": 0.02, "specificity": 0.05, "ece": 0.02}

    def test_rules_judged_with_other_margins_than_those_of_the_installation_promote_nothing(
        self, settings: Settings, store: LabelStore, candidate: Path
    ) -> None:
        stricter = settings.model_copy(update={"promotion_auroc_margin": 0.01})
        with pytest.raises(PromotionRefused, match=r"other margins .*expected auroc 0\.01, .*found auroc 0\.02, "):
            promote(stricter, candidate, compared(settings, candidate), store, "Ada")
        assert active_root(settings) == settings.bundle_dir
        assert trail(store) == ["not promoted"]

    def test_against_the_rules_it_takes_a_written_reason_which_stays_with_the_bundle(
        self, settings: Settings, store: LabelStore, worse: Path
    ) -> None:
        for reason in ("", "  because \n ", "x" * 1001):
            with pytest.raises(PromotionRefused, match="a written reason of 10 to 1,000 characters"):
                promoted(settings, worse, store, reason=reason)
        assert active_root(settings) == settings.bundle_dir
        assert promoted(settings, worse, store, reason=f" {REASON} ").reason == REASON
        assert active_root(settings) == worse
        assert trail(store) == ["not promoted"] * 3 + ["promote"]
        entry = store.audit_trail().iloc[0]["detail"]
        assert (entry["decision"], entry["reason"]) == ("keep", REASON)
        assert "not met" in {rule["finding"] for rule in entry["rules"]}

    def test_no_reason_makes_up_for_a_model_that_is_missing_or_answers_otherwise(
        self, settings: Settings, candidate: Path
    ) -> None:
        edit_manifest(candidate, lambda manifest: manifest["models"][1]["inputs"][0].update(meaning="other"))
        with pytest.raises(PromotionRefused, match="The pages could not use the candidate"):
            check_promotable(compared(settings, candidate), REASON)
        edit_manifest(candidate, lambda manifest: manifest["models"].pop())
        with pytest.raises(PromotionRefused, match="The pages could not use the candidate"):
            check_promotable(compared(settings, candidate), REASON)

    def test_the_active_bundle_itself_cannot_be_promoted(self, settings: Settings, store: LabelStore, candidate: Path) -> None:
        promoted(settings, candidate, store)
        with pytest.raises(PromotionRefused, match="There is nothing to promote"):
            promoted(settings, candidate, store, reason=REASON)

    def test_a_candidate_that_fails_verification_is_refused_and_the_active_one_stays(
        self, settings: Settings, store: LabelStore, candidate: Path
    ) -> None:
        comparison = compared(settings, candidate)
        (candidate / "risk-factors/predictions.parquet").write_bytes(b"PAR1")
        with pytest.raises(BundleError, match=r"predictions\.parquet has the wrong size"):
            promote(settings, candidate, comparison, store, "Ada", reason=REASON)
        assert active_root(settings) == settings.bundle_dir
        entry = store.audit_trail().iloc[0]
        assert entry["what"] == "not promoted"
        assert "predictions.parquet has the wrong size" in entry["detail"]["why"]

    def test_a_variant_that_would_not_run_here_must_prove_itself_too(
        self, settings: Settings, store: LabelStore, candidate: Path
    ) -> None:
        with np.load(candidate / "risk-factors/golden.npz") as golden:
            arrays = dict(golden.items())
        arrays |= {name.replace("fp32:", "fp16:"): value + 1 for name, value in arrays.items() if name.startswith("fp32:")}
        replace_file(candidate, "risk-factors/golden.npz", npz(arrays))
        with np.load(candidate / "risk-factors/golden-table.npz") as golden:
            of_the_table = dict(golden.items())
        of_the_table |= {name.replace("fp32:", "fp16:"): value for name, value in of_the_table.items() if "fp32:" in name}
        replace_file(candidate, "risk-factors/golden-table.npz", npz(of_the_table))

        def with_fp16(manifest: dict[str, Any]) -> None:
            fp32 = manifest["models"][0]["variants"][0]
            manifest["models"][0]["variants"].append({**fp32, "precision": "fp16", "runs_on": "cuda"})

        edit_manifest(candidate, with_fp16)
        comparison = compared(settings, candidate)
        with pytest.raises(BundleError, match="does not reproduce its golden vectors"):
            promote(settings, candidate, comparison, store, "Ada")
        assert trail(store) == ["not promoted"]

    def test_what_was_compared_is_what_is_promoted(self, settings: Settings, store: LabelStore, candidate: Path) -> None:
        comparison = compared(settings, candidate)
        edit_manifest(candidate, lambda manifest: manifest["changelog"].append("another build"))
        with pytest.raises(BundleError, match="The bundle in candidate is another one now"):
            promote(settings, candidate, comparison, store, "Ada")

    @pytest.mark.skipif(os.name == "nt", reason="symbolic links need rights on Windows")
    def test_only_a_folder_that_lies_among_the_bundles_of_the_server_is_promoted(
        self, settings: Settings, store: LabelStore, candidate: Path, tmp_path: Path
    ) -> None:
        comparison = compared(settings, candidate)
        outside = shutil.move(candidate, tmp_path / "candidate")
        (settings.bundles_dir / "candidate").symlink_to(outside)
        for folder in (outside, settings.bundles_dir / "candidate", settings.bundles_dir / "candidate/.."):
            with pytest.raises(PromotionRefused, match="Only a bundle on this server can be promoted"):
                promote(settings, Path(folder), comparison, store, "Ada")

    def test_nobody_promotes_without_a_name(self, settings: Settings, store: LabelStore, candidate: Path) -> None:
        with pytest.raises(LabelRefused, match="no usable name"):
            promote(settings, candidate, compared(settings, candidate), store, " ")

    def test_what_cannot_be_written_down_is_not_done(
        self, settings: Settings, store: LabelStore, candidate: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        comparison = compared(settings, candidate)

        def full(*_: object) -> int:
            raise LabelStoreUnavailable("The label store is full")

        monkeypatch.setattr(store, "audit_append", full)
        with pytest.raises(LabelStoreUnavailable):
            promote(settings, candidate, comparison, store, "Ada")
        assert active_root(settings) == settings.bundle_dir
        edit_manifest(candidate, lambda manifest: manifest["changelog"].append("another build"))
        with pytest.raises(PromotionRefused, match="another one now.*could not be written to the audit trail.*is full"):
            promote(settings, candidate, comparison, store, "Ada")

    def test_a_change_that_cannot_be_written_to_disk_is_told_in_the_trail(
        self, settings: Settings, store: LabelStore, candidate: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(_: Path) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr("cervix.bundle.active.replacing", full)
        with pytest.raises(PromotionRefused, match=r"active\.json cannot be written: found No space left on device"):
            promoted(settings, candidate, store)
        assert trail(store) == ["promote", "not promoted"]
        assert active_root(settings) == settings.bundle_dir


class TestRollBack:
    def test_the_bundle_before_comes_back_and_in_the_end_the_one_that_ships(
        self, settings: Settings, store: LabelStore, candidate: Path, worse: Path
    ) -> None:
        first = promoted(settings, candidate, store)
        second = promoted(settings, worse, store, reason=REASON)
        assert promotion_line(settings).before_last == first.label
        assert roll_back(settings, second, store, "Bea").label == first.label
        assert active_root(settings) == candidate
        assert promotion_line(settings).before_last == "the bundle that ships with the app"
        roll_back(settings, first, store, "Bea")
        assert active_root(settings) == settings.bundle_dir
        assert (promotion_line(settings).promotions, promotion_line(settings).changed_by) == ((), "Bea")
        assert trail(store) == ["promote", "promote", "roll back", "roll back"]
        assert store.audit_trail().iloc[0]["detail"]["from_sha256"] == first.sha256
        assert worse.is_dir(), "nothing is deleted"

    def test_a_damaged_bundle_is_taken_back_but_not_for_another_damaged_one(
        self, settings: Settings, store: LabelStore, candidate: Path, worse: Path
    ) -> None:
        first = promoted(settings, candidate, store)
        second = promoted(settings, worse, store, reason=REASON)
        shutil.rmtree(worse)
        golden = candidate / "risk-factors/golden.npz"
        content = golden.read_bytes()
        golden.write_bytes(b"damaged")
        with pytest.raises(BundleError, match=r"golden\.npz has the wrong size"):
            roll_back(settings, second, store, "Bea")
        assert promotion_line(settings).promotions == (first, second)
        assert trail(store)[-1] == "not rolled back"
        golden.write_bytes(content)
        assert roll_back(settings, second, store, "Bea").label == first.label

    def test_a_promotion_is_taken_back_once(self, settings: Settings, store: LabelStore, candidate: Path, worse: Path) -> None:
        promoted(settings, candidate, store)
        second = promoted(settings, worse, store, reason=REASON)
        roll_back(settings, second, store, "Bea")
        with pytest.raises(PromotionRefused, match="not the last one any more"):
            roll_back(settings, second, store, "Cy")
        assert active_root(settings) == candidate


class TestAtOnce:
    def test_of_two_admins_who_promote_at_once_one_is_told_to_compare_again(
        self, settings: Settings, store: LabelStore, candidate: Path, processes: ForkServerContext
    ) -> None:
        other = candidate_of_risk_models(settings.bundles_dir / "other", "0.9.2")
        said = at_once(
            processes,
            (promote_at_once, (settings, candidate, compared(settings, candidate), "Ada")),
            (promote_at_once, (settings, other, compared(settings, other), "Bea")),
        )
        (winner,) = (word for word in said if word in ("candidate", "other"))
        assert any(word.startswith("Another bundle has become active since the comparison") for word in said)
        assert active_root(settings).name == winner
        assert trail(store) == ["promote", "not promoted"]

    def test_of_two_admins_who_roll_back_at_once_only_one_does(
        self, settings: Settings, store: LabelStore, candidate: Path, worse: Path, processes: ForkServerContext
    ) -> None:
        first = promoted(settings, candidate, store)
        promoted(settings, worse, store, reason=REASON)
        said = at_once(processes, *((roll_back_at_once, (settings, by)) for by in ("Ada", "Bea")))
        assert sorted(word == first.label for word in said) == [False, True]
        assert active_root(settings) == candidate

    def test_who_waits_too_long_for_the_other_is_told(self, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("cervix.bundle.active.LOCK_PATIENCE_S", 0.1)
        with changing(settings), pytest.raises(PromotionRefused, match="Somebody else is promoting"), changing(settings):
            pass

    def test_a_kill_in_mid_change_leaves_the_old_bundle_or_the_new_one(
        self, settings: Settings, store: LabelStore, candidate: Path, processes: ForkServerContext
    ) -> None:
        rng, comparison = random.Random(5), compared(settings, candidate)
        seen = set()
        for _ in range(KILLS):
            ours, theirs = processes.Pipe()
            process = processes.Process(target=change_until_killed, args=(settings, candidate, comparison, theirs))
            process.start()
            for _ in range(rng.randint(1, 3)):
                assert ours.poll(WAIT_S)
                assert ours.recv() == "changed"
                seen.add(active_bundle(settings).root.name)
            time.sleep(rng.uniform(0.0, 0.02))
            os.kill(process.pid, signal.SIGKILL)
            process.join()
            assert process.exitcode == -signal.SIGKILL, "it failed before it was killed"
            root = active_bundle(settings).root
            done = [what for what in trail(store) if what in ("promote", "roll back")]
            # Written down first: of a change that a kill kept from happening there is an entry, never the other way round.
            assert (root == candidate) <= ("promote" in done)
        assert seen == {"shipped", "candidate"}
        if line := promotion_line(settings).promotions:
            roll_back(settings, line[-1], store, "Ada")
        promoted(settings, candidate, store)
        assert active_root(settings) == candidate


def at_once(processes: ForkServerContext, *work: tuple[Callable[..., None], tuple[Any, ...]]) -> list[str]:
    """What each process says that did its work at the same moment as the others."""
    start, started, ends = processes.Barrier(len(work)), [], []
    for target, arguments in work:
        ours, theirs = processes.Pipe()
        process = processes.Process(target=target, args=(*arguments, start, theirs))
        process.start()
        started.append(process)
        ends.append(ours)
    assert all(end.poll(WAIT_S) for end in ends)
    said = [end.recv() for end in ends]
    for process in started:
        process.join()
        assert process.exitcode == 0
    return said


def npz(arrays: dict[str, Any]) -> bytes:
    content = io.BytesIO()
    np.savez(content, **arrays)
    return content.getvalue()
