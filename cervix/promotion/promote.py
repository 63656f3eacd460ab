"""Promotion and roll back: who may take the place of the active bundle, done in one step and kept in the audit trail."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from cervix.bundle.active import (
    Promotion,
    PromotionLine,
    active_bundle,
    changing,
    root_of,
    same_bundle,
    write_line,
)
from cervix.bundle.loading import Bundle, read_verified
from cervix.bundle.manifest import UNEVALUATED
from cervix.errors import BundleError, LabelStoreUnavailable, LostApart, PromotionRefused
from cervix.labels import LabelStore
from cervix.labels.store.events import checked_reader
from cervix.patients.golden import prove_bundle
from cervix.promotion.comparison import BundleComparison
from cervix.promotion.proving import prove_apart
from cervix.promotion.rules import Margins, margins_of
from cervix.settings import Settings

REASON_AT_LEAST, REASON_AT_MOST = 10, 1_000
PROMOTE, NOT_PROMOTED = "promote", "not promoted"
ROLL_BACK, NOT_ROLLED_BACK = "roll back", "not rolled back"


def check_usable(comparison: BundleComparison) -> None:
    """Whether a compared candidate can take the place of the active bundle at all; ``PromotionRefused`` where it cannot."""
    if comparison.identical:
        raise PromotionRefused("There is nothing to promote", expected="another bundle than the active one", found="the same")
    if misfits := [model.title for model in comparison.models if not model.fits]:
        raise PromotionRefused(
            "The pages could not use the candidate",
            expected="every model of the active bundle, with the same inputs, outputs, classes, questions and features",
            found=f"none, or another contract, of {', '.join(misfits)}",
            action="No reason makes up for that; such a bundle needs a release of the app.",
        )
    if unmeasured := [model.title for model in comparison.models if not model.evaluated]:
        raise PromotionRefused(
            f"{UNEVALUATED.rstrip('.')}, so it is never promoted",
            expected="held-out figures of every model that changed",
            found=f"none of {', '.join(unmeasured)}",
            action="Make the candidate again with labelled test cases. No reason makes up for that.",
        )


def check_promotable(comparison: BundleComparison, reason: str = "") -> None:
    """Whether a compared candidate may be promoted.

    It may where every promotion rule is met. Where one is not, a person may decide otherwise with a written reason, but not
    for a candidate that lacks a model of the active bundle, or reads or answers otherwise: it would break the pages.

    Raises
    ------
    PromotionRefused
        If neither holds, or as ``check_usable``.
    """
    check_usable(comparison)
    length = len(reason.strip())
    if comparison.decision == "keep" and not REASON_AT_LEAST <= length <= REASON_AT_MOST:
        raise PromotionRefused(
            "The rules say to keep the active bundle",
            expected=f"a written reason of {REASON_AT_LEAST} to {REASON_AT_MOST:,} characters to promote all the same",
            found=f"{length:,}",
        )


def check_margins(comparison: BundleComparison, settings: Settings) -> None:
    """Whether the rules were judged with the margins of this installation; ``PromotionRefused`` where with others."""
    here = margins_of(settings)
    if comparison.margins != here:
        raise PromotionRefused(
            "The rules were judged with other margins than those of this installation",
            expected=_in_words(here),
            found=_in_words(comparison.margins),
            action="Compare the candidate again.",
        )


def _in_words(margins: Margins) -> str:
    return ", ".join(f"{name} {margin:g}" for name, margin in asdict(margins).items())


def promote(
    settings: Settings, folder: Path, comparison: BundleComparison, store: LabelStore, by: str, *, reason: str = ""
) -> Promotion:
    """Make the compared candidate the active bundle, for every session that starts from now on.

    Every variant has proved itself: apart, once in this process, and what would run here when it was compared. The audit trail
    is written before the change; where it cannot be written, nothing changes. A refused attempt is an entry as well.

    Parameters
    ----------
    folder : Path
        The candidate, directly under ``Settings.bundles_dir``.
    comparison : BundleComparison
        Of the active bundle with this candidate: both must still be what was compared.
    by : str
        Who promotes.
    reason : str
        Needed where the rules say to keep the active bundle.

    Raises
    ------
    PromotionRefused
        If it may not be promoted, another bundle has become active since, or it cannot be written down.
    BundleError, LostApart
        If the candidate does not prove itself, or is not what was compared.
    LabelStoreUnavailable
        If the audit trail cannot be written.
    """
    by, reason = checked_reader(by), reason.strip()
    facts = _facts(comparison) | {"folder": folder.name, "reason": reason}
    with refusals_kept(store, by, NOT_PROMOTED, comparison.candidate, facts):
        check_promotable(comparison, reason)
        check_margins(comparison, settings)
        candidate = _proved(_candidate_root(settings, folder), comparison.candidate_sha256)
        with changing(settings) as line:
            active = active_bundle(settings)
            if active.sha256 != comparison.active_sha256:
                raise PromotionRefused(
                    "Another bundle has become active since the comparison",
                    expected=comparison.active,
                    found=active.label,
                    action="Compare the candidate with that one.",
                )
            promotion = Promotion(
                folder=folder.name,
                sha256=candidate.sha256,
                name=candidate.manifest.name,
                version=candidate.manifest.version,
                promoted_at=datetime.now(UTC),
                promoted_by=by,
                reason=reason if comparison.decision == "keep" else "",
            )
            store.audit_append(by, PROMOTE, candidate.label, facts)
            write_line(settings, line.with_promotion(promotion))
    return promotion


def roll_back(settings: Settings, last: Promotion, store: LabelStore, by: str) -> Bundle:
    """Take back the last promotion and return the bundle that is active again. Its folder stays.

    It works where the bundle to be taken back is damaged or gone, too.

    Parameters
    ----------
    last : Promotion
        The promotion to take back, as the person saw it: of two people at once, only one takes it back.

    Raises
    ------
    PromotionRefused
        If another promotion is the last by now, or the change cannot be written down.
    BundleError
        If the bundle that would become active does not prove itself. The active one then stays.
    LabelStoreUnavailable
        If the audit trail cannot be written.
    """
    by = checked_reader(by)
    facts: dict[str, Any] = {"from": last.label, "from_sha256": last.sha256}
    with refusals_kept(store, by, NOT_ROLLED_BACK, last.label, facts), changing(settings) as line:
        if not line.promotions or line.promotions[-1] != last:
            raise PromotionRefused(
                "That promotion is not the last one any more",
                expected=last.label,
                found=line.promotions[-1].label if line.promotions else "no promotion",
                action="Look at the page again.",
            )
        before = line.without_last(by)
        bundle = _active_by(settings, before)
        store.audit_append(by, ROLL_BACK, bundle.label, facts | {"to": bundle.label, "to_sha256": bundle.sha256})
        write_line(settings, before)
    return bundle


@contextmanager
def refusals_kept(
    store: LabelStore, by: str, what: str, subject: str, facts: Mapping[str, Any] = MappingProxyType({})
) -> Iterator[None]:
    """Write every refused attempt to the audit trail, with why it was refused."""
    try:
        yield
    except (BundleError, LostApart, PromotionRefused) as refusal:
        try:
            store.audit_append(by, what, subject, {**facts, "why": str(refusal)})
        except LabelStoreUnavailable as lost:
            raise PromotionRefused(f"{refusal} That could not be written to the audit trail: {lost}".rstrip(".")) from refusal
        raise


def _active_by(settings: Settings, line: PromotionLine) -> Bundle:
    bundle = prove_bundle(root_of(settings, line), device=settings.device)
    return same_bundle(bundle, line.promotions[-1].sha256) if line.promotions else bundle


def _proved(root: Path, sha256: str) -> Bundle:
    """The candidate that was compared, without sessions: its files are what they were, and every variant is proved apart.

    What would run here proved itself when it was opened to be compared. The hash stands for every file, so nothing is proved
    again.
    """
    candidate = same_bundle(Bundle(root, *read_verified(root)[:2], {}, []), sha256)
    prove_apart(root)
    return candidate


def _candidate_root(settings: Settings, folder: Path) -> Path:
    """The candidate's own folder: it must stay where the app looks for it as long as it may be needed."""
    root = settings.bundles_dir / folder.name
    if folder.resolve() != root.resolve() or root.resolve().parent != settings.bundles_dir.resolve():
        raise PromotionRefused(
            "Only a bundle on this server can be promoted",
            expected=f"a folder directly under {settings.bundles_dir}",
            found=str(folder),
            action="Put the folder there.",
        )
    return root


def _facts(comparison: BundleComparison) -> dict[str, Any]:
    """What the decision rested on, for the audit trail."""
    return {
        "from": comparison.active,
        "from_sha256": comparison.active_sha256,
        "to": comparison.candidate,
        "to_sha256": comparison.candidate_sha256,
        "decision": comparison.decision,
        "verdict": comparison.verdict,
        "margins": asdict(comparison.margins),
        "rules": [
            {"model": model.title, "rule": ruling.rule, "finding": ruling.finding, "found": ruling.found}
            for model in comparison.changed
            for ruling in model.rulings
        ],
    }
