"""What can be done with the slides chosen in the list: open one, label their tiles, take the answers along."""

from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from cervix.archive.bundles import model_of
from cervix.archive.desk_runs import DeskRun
from cervix.archive.results.answers import answers_table
from cervix.archive.runs import RunOrder, read_order
from cervix.archive.thumbnails import make_thumbnail
from cervix.archive.viewing import held_for_viewing, lies_here
from cervix.bundle import Bundle
from cervix.errors import CervixError, LabelStoreUnavailable
from cervix.files import inert
from cervix.jobs import Job
from cervix.labels import LabelStore
from cervix.labels.gathering.tiles import gather_tiles, keep_cases
from cervix.plain_text import escaped
from cervix.settings import get_settings
from pages.parts.archive.fetched import fetch_and_open, open_awaited
from pages.parts.archive.resources import board, desk
from pages.parts.archive.rows import name_of
from pages.parts.shared.gathering import start_gathering
from pages.parts.shared.improve_step import open_step
from pages.parts.shared.people import person
from pages.parts.shared.store import label_store
from pages.parts.shared.watching import CountedJob
from pages.parts.slide.look import choose, everywhere, scales
from pages.parts.slide.resources import desk as scoring_desk
from pages.parts.slide.resources import opened

TILES_A_SLIDE = 50
"""Half of them the most doubtful, half drawn at random: what one reader labels in a sitting."""
SLIDES_AT_ONCE = 20
POLL_EVERY_S = 1.0


def show_actions(
    run: DeskRun, bundle: Bundle, chosen: list[dict[str, Any]], missing: list[dict[str, Any]], told: DeltaGenerator
) -> None:
    """Buttons beside the list; pictures that are missing are made meanwhile. What goes wrong is said in ``told``."""
    order = read_order(desk().folder(run))
    scored = [row for row in chosen if row["state"] == "done"]
    opens = len(chosen) == 1 and _opens(chosen[0])
    if st.button("Open in the viewer", icon=":material/open_in_new:", key="archive_open", disabled=not opens,
                 type="primary" if opens else "secondary", help=_open_words(chosen)):  # fmt: skip
        if lies_here(chosen[0]["locator"]):
            with told:
                _open(order, chosen[0], Path(chosen[0]["locator"]))
        else:
            fetch_and_open(chosen[0], bundle)
    with told:
        open_awaited(partial(_open, order))
    if person().may_label and st.button(
        f"Label tiles of {len(scored):,}" if len(scored) > 1 else "Label its tiles", icon=":material/playlist_add:",
        key="archive_label", disabled=not scored or len(scored) > SLIDES_AT_ONCE,
        help=f"Up to {TILES_A_SLIDE} tiles of each become cases at the label desk, of up to {SLIDES_AT_ONCE} scored slides.",
    ):  # fmt: skip
        with told:
            _label(scored, order, bundle)
    if order is not None:
        with st.popover("Download", icon=":material/download:", key="archive_download"):
            _show_downloads(run, order)
    if missing:
        _make_pictures(missing)


def _opens(row: dict[str, Any]) -> bool:
    """What was fetched once can be fetched again, and known to be the same."""
    return lies_here(row["locator"]) or bool(row["slide_sha256"])


def _open_words(chosen: list[dict[str, Any]]) -> str:
    if len(chosen) != 1:
        return "Choose one slide in the list: its score is there already."
    if not _opens(chosen[0]):
        return "Nobody has read it yet, and it lies elsewhere."
    return "With its score." if lies_here(chosen[0]["locator"]) else "With its score. It is fetched to this server first."


def _open(order: RunOrder | None, row: dict[str, Any], path: Path) -> None:
    if not path.exists():
        words = "The slide is no longer where it was listed. Put it back to open it; its answer is kept."
        st.error(words, icon=":material/broken_image:")
        return
    if row["spacing_asked_um_px"]:
        scales()[row["slide_sha256"]] = row["spacing_asked_um_px"]
    if order is not None and order.everywhere:
        everywhere().add(row["slide_sha256"])
    if sha256 := _just_hashed(row):
        with suppress(CervixError):  # the page Slide says why it cannot be opened
            opened(path, sha256)
    choose(path, name=name_of(row))
    st.switch_page("slide.py")


def _just_hashed(row: dict[str, Any]) -> str | None:
    """The hash that a slide from elsewhere was held against when it came (``held_for_viewing``); None of one that lies here."""
    return None if lies_here(row["locator"]) else row["slide_sha256"]


def _label(rows: list[dict[str, Any]], order: RunOrder | None, bundle: Bundle) -> None:
    try:
        store = label_store()
    except LabelStoreUnavailable as error:
        st.error(escaped(str(error)), icon=":material/database_off:")
        return
    is_everywhere = order is not None and order.everywhere
    key = f"archive {' '.join(row['slide_sha256'] for row in rows)} {bundle.sha256}"
    start_gathering(key, partial(_gather, store, bundle, rows, is_everywhere, person().name))
    open_step("gather")
    st.switch_page("improve.py")


def _gather(
    store: LabelStore, bundle: Bundle, rows: list[dict[str, Any]], is_everywhere: bool, who: str, job: CountedJob
) -> int:
    """Cases of several slides; returns how many are new."""
    settings = get_settings()
    new, total = 0, TILES_A_SLIDE * len(rows)
    for place, row in enumerate(rows):
        before = place * TILES_A_SLIDE

        def tell(done: int, _of: int, before: int = before) -> None:
            job.progress = (before + done, total)

        with held_for_viewing(row["locator"], row["slide_sha256"], settings, bundle) as path:
            slide = opened(path, _just_hashed(row))
            if row["spacing_asked_um_px"]:
                slide = slide.with_spacing(row["spacing_asked_um_px"])
            score = scoring_desk().score(slide, bundle, everywhere=is_everywhere)
            if score is None:
                raise CervixError(
                    "A slide has no score by the bundle of this session",
                    action="Score it on the page Slide, or use the run's bundle.",
                )
            gathered = gather_tiles(slide, score, bundle, TILES_A_SLIDE, on_progress=tell, cancel=job.cancel_requested)
            new += keep_cases(store, "tile", bundle.session_of("tile").model.class_ids, gathered, who)
    return new


def _show_downloads(run: DeskRun, order: RunOrder) -> None:
    st.caption(
        "One row a slide: answers with intervals, reasons, speed, provenance. The column *locator* says where each slide lies, "
        "and so may hold names that your archive gives its files."
    )
    for kind, title in (("csv", "Answers as CSV"), ("parquet", "Answers as Parquet")):
        st.download_button(
            title, partial(_answers, run, order, kind), file_name=f"answers-{run.id}.{kind}",
            mime="text/csv" if kind == "csv" else "application/vnd.apache.parquet", icon=":material/download:",
            on_click="ignore", key=f"archive_answers_{kind}",
        )  # fmt: skip


def _answers(run: DeskRun, order: RunOrder, kind: str) -> bytes:
    folder = desk().folder(run)
    table = answers_table(folder, order, (), notice=model_of(folder, "tile").notice)
    return inert(table).to_csv(index=False).encode() if kind == "csv" else bytes(table.to_parquet(index=False))


def _make_pictures(rows: list[dict[str, Any]]) -> None:
    """In the background, once a set of rows."""
    results_dir = get_settings().results_dir
    wanted = [(row["slide_sha256"], Path(row["locator"])) for row in rows]
    key = "pictures " + " ".join(sha256[:12] for sha256, _ in wanted)

    def make(job: Job[tuple[int, int], object]) -> object:  # noqa: ARG001 - a board hands it to whatever it runs
        return [make_thumbnail(results_dir, sha256, path) for sha256, path in wanted]

    # Asked once: what cannot be drawn now is not tried at every click.
    if board().get(key) is None:
        board().submit(key, make)
        _await_pictures(key)


@st.fragment(run_every=POLL_EVERY_S)
def _await_pictures(key: str) -> None:
    job = board().get(key)
    if job is not None and not job.active:
        st.rerun()
