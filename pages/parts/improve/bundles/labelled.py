"""A candidate beside the active bundle on the labelled cases of this installation."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import streamlit as st

from cervix.bundle import Bundle
from cervix.bundle.loading import read_manifest
from cervix.bundle.manifest import Manifest
from cervix.errors import CervixError
from cervix.evaluation.charts import differences_figure
from cervix.jobs import Job, JobBoard
from cervix.labels import LabelStore
from cervix.labels.gathering.rescoring import rescore
from cervix.labels.store.cases import KINDS, Kind
from cervix.plain_text import escaped
from cervix.promotion.comparison import BundleComparison, figures_table
from cervix.promotion.labelled_pairs import (
    LabelledPair,
    cannot_share,
    fitting_cases,
    labelled_pair,
    shared_kinds,
    waiting_cases,
)
from cervix.promotion.others import proved_candidate
from cervix.settings import get_settings
from pages.parts.shared.frame import STILL_CHART, kept, sentence_case
from pages.parts.shared.people import person
from pages.parts.shared.store import label_store

ScoringJob = Job[tuple[int, int], int]
POLL_EVERY_S = 1.0


@st.cache_resource
def _board() -> JobBoard[tuple[int, int], int]:
    return JobBoard()


def show_on_labelled(active: Bundle, comparison: BundleComparison, folder: Path | None) -> None:
    """Both bundles on what readers labelled here, by kind of case; nothing where the two are one bundle.

    Parameters
    ----------
    folder : Path or None
        Of the candidate; None for one that is not kept here, which cannot score anything later.
    """
    if comparison.identical or not person().may_label:
        return
    with st.container(key="compare_labelled"):
        st.header("On the labelled cases of this installation")
        st.caption(
            "Both bundles score the same cases that readers labelled here, so models with other classes and other test cases "
            "meet. A strategy chose most of these cases: the figures say how the two compare on them, not how good either is. "
            "No promotion rule uses them."
        )
        if folder is None:
            st.info("Keep the candidate on this server first: then it can score the labelled cases.")
            return
        try:
            manifest = read_manifest(folder)[0]
            kinds = shared_kinds(active.manifest, manifest)
            if not kinds:
                st.info("The two have no kind of model in common that reads slides or visits.")
            for kind in kinds:
                _show_kind(label_store(), active, manifest, partial(_proved, folder, comparison.candidate_sha256), kind)
        except CervixError as error:
            st.error(escaped(str(error)), icon=":material/error:")


def _proved(folder: Path, sha256: str) -> Bundle:
    """The candidate, ready to score; only asked for where there is something to score."""
    with st.spinner("Proving the candidate …"):
        return proved_candidate(folder, sha256, get_settings().device)


def _show_kind(store: LabelStore, active: Bundle, manifest: Manifest, proved: Callable[[], Bundle], kind: Kind) -> None:
    st.subheader(KINDS[kind].title)
    before, after = (of.first_of(KINDS[kind].model_kind) for of in (active.manifest, manifest))
    if problem := cannot_share(kind, before, after):
        st.info(escaped(problem))
        return
    if not kept(f"any-labelled-{kind}", _mark(store), lambda: bool(store.truths(kind)["label"].notna().any())):
        st.info(f"No labelled {KINDS[kind].words} yet. Gather and label some first.")
        return
    candidate = proved()
    busy = [_offer_scores(store, bundle, kind, name) for bundle, name in ((active, "active"), (candidate, "candidate"))]
    if not any(busy):
        pair = partial(labelled_pair, store, active, candidate, kind)
        _show_pair(kept(f"labelled-{kind}", (active.sha256, candidate.sha256, *_mark(store)), pair), kind)


def _mark(store: LabelStore) -> tuple[int, int]:
    """Changes with the labels and scores: reading 20,000 of them and drawing 1,000 samples takes seconds."""
    return store.last_event_id(), store.last_score_id()


def _offer_scores(store: LabelStore, bundle: Bundle, kind: Kind, name: str) -> bool:
    """A button that has one bundle score what it lacks, or how far that is; whether it is at it."""
    order = f"{get_settings().label_store_url} {kind} {bundle.sha256}"
    job = _board().get(order)
    if job is not None and job.active:
        st.fragment(_watch, run_every=POLL_EVERY_S)(job, name)
        return True
    if job is not None and job.state == "failed":
        st.error(escaped(job.error), icon=":material/error:")
    waiting, unfit = kept(f"waiting-{kind}-{name}", (bundle.sha256, *_mark(store)), partial(waiting_cases, store, bundle, kind))
    if unfit:
        st.caption(f"{unfit:,} labelled tiles are of another scale than the {name} bundle reads: left out.")
    words = f"Score {len(waiting):,} labelled {KINDS[kind].words} with the {name} bundle"
    if waiting and st.button(words, key=f"compare_score_{kind}_{name}", icon=":material/autorenew:"):
        _board().submit(order, partial(_score, store, kind, waiting, bundle, person().name))
        st.rerun()
    return False


def _score(store: LabelStore, kind: Kind, waiting: list[str], bundle: Bundle, who: str, job: ScoringJob) -> int:
    return rescore(
        store, kind, fitting_cases(store, bundle, kind, waiting), bundle, who, declare=False,
        on_progress=lambda *step: setattr(job, "progress", step), cancel=job.cancel_requested,
    )  # fmt: skip


def _watch(job: ScoringJob, name: str) -> None:
    if not job.active:
        st.rerun()
    done, total = job.progress or (0, 0)
    st.progress(done / total if total else 0.0, f"Scored {done:,} of {total:,} by the {name} bundle" if total else "Starting …")
    if st.button("Stop", key=f"compare_score_stop_{name}", icon=":material/stop:"):
        job.cancel()


def _show_pair(found: LabelledPair, kind: Kind) -> None:
    st.caption(escaped(f"{found.question}. {found.words}"))
    if found.pair is None:
        st.info(escaped(found.problem))
        return
    pairs = {"All of them": found.pair} | ({"Those that neither learned from": found.unseen} if found.unseen else {})
    for place, (title, pair) in enumerate(pairs.items()):
        if len(pairs) > 1:
            st.markdown(f"**{title}**: {pair.n:,}")
        st.plotly_chart(
            differences_figure(pair.differences, {}), key=f"compare_labelled_{kind}_{place}_chart", config=STILL_CHART
        )
        st.dataframe(
            figures_table(pair).rename(columns=sentence_case),
            hide_index=True,
            height="content",
            key=f"compare_labelled_{kind}_{place}",
        )
