"""Where cases come from: tiles of a scored slide, women of a visit table, what another bundle gathered; in the background."""

import hashlib
from collections.abc import Callable
from functools import partial

import streamlit as st

from cervix.bundle import Bundle
from cervix.errors import CervixError, LabelStoreUnavailable, PatientFileError
from cervix.intake.shelf import SeenSlide, thumbnail_path
from cervix.labels import LabelStore
from cervix.labels.gathering.rescoring import rescore
from cervix.labels.gathering.tiles import gather_tiles, keep_cases
from cervix.labels.gathering.women import gather_patients
from cervix.labels.store.cases import KINDS, PATIENT_LABELS, Kind
from cervix.patients.visit_sample import sample_visits_csv
from cervix.patients.visits import VisitTable, read_table
from cervix.people import Person
from cervix.plain_text import escaped
from cervix.settings import get_settings
from pages.parts.improve.kinds import choose_kind
from pages.parts.improve.labels.place import leave_desk
from pages.parts.improve.sample import show_empty
from pages.parts.shared.frame import bundle_or_stop, kept
from pages.parts.shared.gathering import gathering_job, start_gathering
from pages.parts.shared.improve_step import open_step
from pages.parts.shared.people import person
from pages.parts.shared.store import label_store_or_stop
from pages.parts.shared.watching import CountedJob, watch
from pages.parts.slide.resources import desk, reopened, scored_slides, slide_words

TAKEN = "label_job_taken"
COUNTS = (50, 100, 200, 500, 1000)
USUAL_COUNT = 200
THUMBNAIL_WIDTH = 120


def show_gather() -> None:
    """Step 1: where cases come from, and how many there are."""
    bundle = bundle_or_stop()
    store = label_store_or_stop()
    who = person()
    try:
        status = store.status()
        with st.container(horizontal=True, vertical_alignment="center"):
            kind = choose_kind("What to gather", "gather_kind")
            there = dict(zip(status["kind"], status["cases"], strict=True))
            st.markdown(" · ".join(f"**{there.get(name, 0):,}** {of.words}" for name, of in KINDS.items()) + " gathered so far")
        if not there:
            show_empty(
                "Nothing is gathered yet. Cases come from a slide that was scored, or from a table of visits: below. Or see "
                "the whole loop at work first.",
                "gather",
                ":material/playlist_add:",
            )
        if not who.may_label:
            st.info(f"{escaped(who.name)} may look at this page but not gather cases.", icon=":material/lock:")
            return
        _show_ways(store, bundle, kind, who)
    except LabelStoreUnavailable as error:
        st.error(escaped(str(error)), icon=":material/database_off:")


def _label_them(kind: Kind) -> None:
    st.session_state["label_kind"] = kind
    open_step("label")


def _show_ways(store: LabelStore, bundle: Bundle, kind: Kind, who: Person) -> None:
    """The ways in for cases of this kind, and the job that runs."""
    job = gathering_job()
    if job is not None and job.active:
        watch(job, "label_job_stop")
        return
    if job is not None:
        taken: object = st.session_state.get(TAKEN)
        if taken is not job:
            st.session_state[TAKEN] = job
            leave_desk()
            st.rerun()
        _show_end(job)
        if job.state == "done":
            st.button("Label them", type="primary", icon=":material/arrow_forward:", key="gather_label",
                      on_click=_label_them, args=(kind,))  # fmt: skip
    if not bundle.manifest.of_kind(KINDS[kind].model_kind):
        st.info("The bundle has no model that scores such cases.", icon=":material/block:")
        return
    _offer_unscored(store, bundle, kind, who)
    if kind == "tile":
        _offer_tiles(store, bundle, who)
    else:
        _offer_women(store, bundle, who)


def _show_end(job: CountedJob) -> None:
    if job.state == "failed":
        st.error(job.error, icon=":material/error:")
    elif job.state == "cancelled":
        st.info("Stopped; nothing was added.")
    elif job.result:
        st.success(f"{job.result:,} new cases to label.", icon=":material/playlist_add_check:")
    else:
        st.info("All of these were already there; their scores are up to date now.")


def _start(key: str, work: Callable[[CountedJob], int]) -> None:
    start_gathering(key, work)
    st.rerun()


def _offer_unscored(store: LabelStore, bundle: Bundle, kind: Kind, who: Person) -> None:
    """Cases that were gathered with another bundle, such as the one before a promotion."""
    waiting = store.unscored(bundle.sha256, kind)
    if not waiting:
        return
    st.info(
        f"{len(waiting):,} cases were gathered with another bundle. This one has not scored them, so they are not in its "
        "queue. Their labels still count.",
        icon=":material/update:",
    )
    if st.button("Score them with this bundle", type="primary", icon=":material/autorenew:", key="label_rescore"):
        _start(f"rescore-{kind}-{bundle.sha256}", partial(_again, store, bundle, kind, waiting, who.name))


def _again(store: LabelStore, bundle: Bundle, kind: Kind, waiting: list[str], who: str, job: CountedJob) -> int:
    return rescore(
        store,
        kind,
        waiting,
        bundle,
        who,
        on_progress=lambda *step: setattr(job, "progress", step),
        cancel=job.cancel_requested,
    )


def _offer_tiles(store: LabelStore, bundle: Bundle, who: Person) -> None:
    scored = scored_slides(bundle)
    if not scored:
        st.info("No slide has been scored with this bundle yet. Score one first: its tiles can then be labelled here.")
        st.page_link("slide.py", label="Score a slide", icon=":material/grid_on:")
        return
    picked = st.selectbox("Scored slide", list(scored), format_func=lambda sha: slide_words(scored[sha]), key="label_slide")
    thumbnail = thumbnail_path(get_settings().shelf_dir, picked)
    if thumbnail.is_file():
        st.image(str(thumbnail), width=THUMBNAIL_WIDTH)
    count = st.select_slider("How many tiles at most", COUNTS, value=USUAL_COUNT, key="label_tile_count")
    st.caption("Half are the tiles the model is least certain of, half are drawn at random from the rest.")
    if st.button("Add its tiles", type="primary", icon=":material/playlist_add:", key="label_add_tiles"):
        _start(f"tiles-{picked}-{bundle.sha256}-{count}", partial(_tiles, store, bundle, scored[picked], count, who.name))


def _tiles(store: LabelStore, bundle: Bundle, entry: SeenSlide, count: int, who: str, job: CountedJob) -> int:
    slide = reopened(entry)
    score = desk().score(slide, bundle) or desk().score(slide, bundle, everywhere=True)
    if score is None:
        raise CervixError("The score of this slide cannot be read", action="Score it again on the page Slide.")
    gathered = gather_tiles(
        slide, score, bundle, count, on_progress=lambda *step: setattr(job, "progress", step), cancel=job.cancel_requested
    )
    return keep_cases(store, "tile", bundle.session_of("tile").model.class_ids, gathered, who)


def _offer_women(store: LabelStore, bundle: Bundle, who: Person) -> None:
    st.caption(
        "Women of a visit table, one row a visit. Kept are results, ages and the time between visits; no dates, no ids. "
        "Names must not be in the file. Each is asked about at one of her visits, after which her file tells the outcome; "
        "women whose file does not are left out."
    )
    upload = st.file_uploader("Visit table (CSV, pseudonymous ids only)", type=["csv", "tsv", "txt"], key="label_table")
    count = st.select_slider("How many women at most", COUNTS, value=USUAL_COUNT, key="label_woman_count")
    with st.container(horizontal=True):
        add = st.button(
            "Add its women", type="primary", icon=":material/playlist_add:", key="label_add_women", disabled=upload is None
        )
        sample = st.button("Add the sample's women", icon=":material/science:", key="label_add_sample")
    st.caption("The sample is generated: nobody's data.")
    content = sample_visits_csv().encode() if sample else upload.getvalue() if add and upload is not None else None
    if content is None:
        return
    sha256 = hashlib.sha256(content).hexdigest()
    try:
        table = kept("label_read", sha256, partial(read_table, content))
    except PatientFileError as error:
        st.error(escaped(str(error)), icon=":material/table_view:")
        return
    if not isinstance(table, VisitTable):
        st.error("This is a risk-factor table. Women are labelled by their visits: bring a table with one row a visit.")
        return
    if len(table.losses):
        st.toast(f"Left out: {len(table.losses):,} whose file could not be read in full. The page Patient says why.")
    _start(f"women-{sha256}-{bundle.sha256}-{count}", partial(_women, store, bundle, table, sha256, count, who.name))


def _women(store: LabelStore, bundle: Bundle, table: VisitTable, sha256: str, count: int, who: str, job: CountedJob) -> int:
    gathered = gather_patients(
        table, sha256, bundle, count, on_progress=lambda *step: setattr(job, "progress", step), cancel=job.cancel_requested
    )
    return keep_cases(store, "patient", PATIENT_LABELS, gathered, who)
