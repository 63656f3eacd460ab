"""Where an installation stands in the loop of improvement: gather, label, agree, retrain, compare, promote."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import pandas as pd

from cervix.bundle import Bundle
from cervix.bundle.active import promotion_line
from cervix.bundle.loading import read_manifest
from cervix.bundle.manifest import MANIFEST_NAME
from cervix.bundle.signature import SIGNATURE_NAME
from cervix.errors import BundleError
from cervix.labels import LabelStore
from cervix.labels.insight.agreement import agreement_of_all
from cervix.labels.store.cases import KINDS
from cervix.promotion.candidates import candidate_folders
from cervix.promotion.rules import Decision
from cervix.retraining import RETRAINABLE, LabelCounts, count_labels, obstacle
from cervix.settings import Settings

StepId = Literal["gather", "label", "agree", "retrain", "compare", "promote", "audit"]
StepState = Literal["done", "waits", "empty"]


@dataclass(frozen=True)
class Step:
    """One step of the loop.

    Attributes
    ----------
    figure : what it has come to, in a word; empty where to nothing
    state : whether it is done, waits for somebody, or has nothing to work on yet
    """

    id: StepId
    title: str
    figure: str
    state: StepState


@dataclass(frozen=True)
class LoopFacts:
    """What the steps rest on, all kinds of case together.

    Attributes
    ----------
    cases, decided, unread, disputed : numbers of cases: all, with a label that counts, that nobody answered, in dispute
    kappa : agreement of all readers beyond chance on the kind of case with the most reads; None where none had two labels
    trainable : whether the labels suffice for one model
    new : labels that count and are younger than the active bundle
    running : whether a retraining is under way
    candidate : version of the newest bundle on this server that is not the active one; empty where there is none
    difference : candidate minus active on the main figure, as compared in this session; empty where it was not
    decision : what the rules say of it; None likewise
    promoted : version of the bundle that a promotion made active; empty where the one that ships is
    """

    cases: int = 0
    decided: int = 0
    unread: int = 0
    disputed: int = 0
    kappa: float | None = None
    trainable: bool = False
    new: int = 0
    running: bool = False
    candidate: str = ""
    difference: str = ""
    decision: Decision | None = None
    promoted: str = ""


def loop_steps(facts: LoopFacts) -> list[Step]:
    """Every step in order, the audit trail last."""
    learns = facts.trainable and facts.new > 0 and not facts.candidate
    compared = facts.decision is not None
    return [
        _step("gather", "Gather", f"{facts.cases:,}" if facts.cases else "", done=facts.cases > 0, waits=facts.cases == 0),
        _step("label", "Label", f"{facts.decided:,}" if facts.cases else "", done=facts.decided > 0, waits=facts.unread > 0),
        _step(
            "agree",
            "Agree",
            f"{facts.disputed:,} open" if facts.kappa is None and facts.disputed else _kappa(facts.kappa),
            done=facts.kappa is not None,
            waits=facts.disputed > 0,
        ),
        _step(
            "retrain",
            "Retrain",
            "running" if facts.running else facts.candidate,
            done=bool(facts.candidate or facts.promoted),
            waits=facts.running or learns,
        ),
        _step("compare", "Compare", facts.difference, done=compared, waits=bool(facts.candidate) and not compared),
        _step(
            "promote",
            "Promote",
            facts.promoted,
            done=bool(facts.promoted),
            waits=bool(facts.candidate) and compared,
        ),
        _step("audit", "Audit trail", "", done=False, waits=False),
    ]


def waiting_step(steps: list[Step]) -> StepId:
    """The first step that waits for somebody; the label desk where none does."""
    return next((step.id for step in steps if step.state == "waits"), "label")


def loop_facts(
    store: LabelStore,
    settings: Settings,
    bundle: Bundle,
    kappa: float | None,
    *,
    running: bool = False,
    difference: str = "",
    decision: Decision | None = None,
) -> LoopFacts:
    """Read what the steps rest on; some milliseconds.

    Parameters
    ----------
    kappa : as ``loop_kappa``, which changes only with the labels
    running, difference, decision : as in ``LoopFacts``

    Raises
    ------
    LabelStoreUnavailable
        If the store does not answer.
    """
    status = store.status()
    cases = int(status["cases"].sum())
    counts = _counted(store, bundle) if cases else []
    decided = sum(count.cases for _, count in counts)
    return LoopFacts(
        cases=cases,
        decided=decided,
        unread=max(0, cases - decided - sum(count.open_cases for _, count in counts)),
        disputed=int(status["disputed"].sum()),
        kappa=kappa,
        trainable=any(not why_not for why_not, _ in counts),
        new=sum(int(count.by_class["new"].sum()) for _, count in counts),
        running=running,
        candidate=newest_candidate(settings, bundle),
        difference=difference,
        decision=decision,
        promoted=_promoted(settings),
    )


def loop_kappa(store: LabelStore) -> float | None:
    """Agreement of all readers beyond chance, of the kind of case with the most reads; None where no case has two labels.

    Raises ``LabelStoreUnavailable`` if the store does not answer.
    """
    reads = store.reads()
    if reads.empty:
        return None
    return agreement_of_all(reads[reads["kind"] == reads["kind"].mode()[0]])


def newest_folder(settings: Settings, active: Bundle) -> Path | None:
    """The newest bundle on this server; None where there is none, or the newest is the active one."""
    folders = [(_changed(folder), folder) for folder in candidate_folders(settings.bundles_dir).values()]
    for changed, folder in sorted(folders, reverse=True):
        version, sha256 = _read(folder, changed)
        if version:
            return None if sha256 == active.sha256 else folder
    return None


def newest_candidate(settings: Settings, active: Bundle) -> str:
    """Version of that bundle; empty where there is none."""
    folder = newest_folder(settings, active)
    return "" if folder is None else _read(folder, _changed(folder))[0]


def _changed(folder: Path) -> int:
    # One that was refused because nobody had signed it may have been signed since.
    signature = folder / SIGNATURE_NAME
    return max((folder / MANIFEST_NAME).stat().st_mtime_ns, signature.stat().st_mtime_ns if signature.exists() else 0)


@lru_cache(maxsize=32)
def _read(folder: Path, changed_ns: int) -> tuple[str, str]:  # noqa: ARG001 - the key
    """Version and hash; empty where the manifest cannot be read."""
    try:
        manifest, sha256 = read_manifest(folder)
    except BundleError:
        return "", ""
    return manifest.version, sha256


def _counted(store: LabelStore, bundle: Bundle) -> list[tuple[str, LabelCounts]]:
    """Of each kind of case that the bundle has a model for: why it cannot be retrained, and its labels."""
    models = {RETRAINABLE[model.kind]: model for kind in RETRAINABLE for model in bundle.manifest.of_kind(kind)[:1]}
    counted = []
    for kind in KINDS:
        count = count_labels(store.truths(kind), kind, {}, bundle.manifest.created)
        counted.append((obstacle(models[kind], count) if kind in models else "no model", count))
    return counted


def _promoted(settings: Settings) -> str:
    try:
        line = promotion_line(settings)
    except BundleError:
        return ""
    return line.promotions[-1].version if line.promotions else ""


def _kappa(value: float | None) -> str:
    return "" if value is None else "κ –" if pd.isna(value) else f"κ {value:.2f}"


def _step(name: StepId, title: str, figure: str, *, done: bool, waits: bool) -> Step:
    return Step(name, title, figure, "waits" if waits else "done" if done else "empty")
