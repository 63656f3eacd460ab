"""From the registry: what it lists, and one button each that brings a bundle to this server, for admins."""

from functools import partial
from pathlib import Path

import streamlit as st

from cervix.errors import CervixError, DownloadFailed, RegistryRefused
from cervix.jobs import Job, JobBoard
from cervix.labels import LabelStore
from cervix.plain_text import escaped
from cervix.promotion.adding import ADDED, add_listed, arrived_bytes, labels_there
from cervix.promotion.registry import Listed, Registry, read_registry
from cervix.settings import Settings, get_settings
from cervix.sources.downloads import Arriving
from pages.parts.shared.fetching import show_fetching
from pages.parts.shared.people import person
from pages.parts.shared.store import label_store_or_stop

AddJob = Job[Arriving, Path]
# Each is a download and a proof that takes every core.
AT_ONCE = 1
EVERY_S = 1.0
OPEN, READ, MINE = "registry_open", "registry_read", "registry_mine"


@st.cache_resource(show_spinner=False)
def _board() -> JobBoard[Arriving, Path]:
    return JobBoard(AT_ONCE)


def registry_button() -> None:
    """Opens and closes the list; nothing for who may not add bundles."""
    if not person().may_add_bundles:
        return
    is_open = st.session_state.get(OPEN, False)
    title = "Close the registry" if is_open else "From the registry"
    st.button(title, icon=":material/cloud_download:", key="registry", on_click=_turn, args=(not is_open,))


def show_registry() -> Path | None:
    """The list while it is open; the folder of a bundle that this session just had added, once."""
    if not (person().may_add_bundles and st.session_state.get(OPEN)):
        return None
    settings = get_settings()
    with st.container(border=True, gap="small", key="registry_list"):
        registry = _registry(settings)
        if isinstance(registry, Registry):
            busy = any(job is not None and job.active for job in map(_job, registry.bundles))
            st.fragment(_show, run_every=EVERY_S if busy else None)(registry, settings, label_store_or_stop(), busy)
            if not registry.bundles:
                st.caption("The registry lists no bundle.")
            elif settings.offline:
                st.caption("This server may not use the network (CERVIX_OFFLINE): a bundle can only be brought as a zip.")
        else:
            # Whatever a list from elsewhere said is text, and no markup.
            (st.caption if not settings.bundle_registry else st.warning)(escaped(str(registry)))
        if settings.bundle_registry:
            st.button(
                "Look again", icon=":material/refresh:", key="registry_again", type="tertiary", on_click=_turn, args=(True,)
            )
    job: AddJob | None = st.session_state.get(MINE)
    if job is not None and job.state == "done":
        del st.session_state[MINE]
        return job.result
    return None


def _turn(is_open: bool) -> None:
    st.session_state[OPEN] = is_open
    st.session_state.pop(READ, None)


def _registry(settings: Settings) -> Registry | CervixError:
    """As it was when the list was opened: an address is not asked at every click."""
    held: Registry | CervixError | None = st.session_state.get(READ)
    if held is None:
        with st.spinner("Asking the registry …"):
            try:
                held = read_registry(settings)
            except (RegistryRefused, DownloadFailed) as error:
                held = error
        st.session_state[READ] = held
    return held


def _show(registry: Registry, settings: Settings, store: LabelStore, busy: bool) -> None:
    there = labels_there(settings)
    for listed in registry.bundles:
        _show_row(listed, settings, store, here=(listed.name, listed.version) in there)
    if busy and not any(job is not None and job.active for job in map(_job, registry.bundles)):
        st.rerun()  # the last one has come: it can be chosen now


def _show_row(listed: Listed, settings: Settings, store: LabelStore, *, here: bool) -> None:
    job, key = _job(listed), listed.sha256[:16]
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"registry_row_{key}"):
        facts = f"{_size(listed.bytes)} · licence {escaped(listed.licence)}"
        st.markdown(f"**{escaped(listed.label)}** · {escaped(listed.summary)}  \n:small[{facts}]", width="stretch")
        if job is not None and job.active:
            st.button("Stop", icon=":material/stop:", key=f"registry_stop_{key}", on_click=job.cancel)
        elif here:
            st.markdown(":material/check: On this server", width="content")
        else:
            begun = arrived_bytes(listed, settings) > 0
            title = "Go on" if begun else "Add"
            if st.button(title, icon=":material/download:", key=f"registry_add_{key}", disabled=settings.offline):
                work = partial(_add, listed, settings, store, person().name)
                st.session_state[MINE] = _board().submit(listed.sha256, work)
                st.rerun()
    if job is None:
        return
    if job.active and job.progress is not None and job.progress.share >= 1 and not job.cancel_requested.is_set():
        st.progress(1.0, "Arrived. Every file is checked, and it proves itself in a process of its own …")
    else:
        show_fetching(job, begun=arrived_bytes(listed, settings) > 0)


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:,.0f} MB" if size_bytes >= 1e6 else f"{size_bytes / 1e3:,.0f} kB"


def _job(listed: Listed) -> AddJob | None:
    return _board().get(listed.sha256)


def _add(listed: Listed, settings: Settings, store: LabelStore, by: str, job: AddJob) -> Path:
    def arriving(step: Arriving) -> None:
        job.progress = step

    folder = add_listed(listed, settings, arriving=arriving, cancel=job.cancel_requested)
    store.audit_append(by, ADDED, listed.label, {"folder": folder.name, "sha256": listed.sha256})
    return folder
