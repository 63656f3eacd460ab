"""Archive: many slides in one run, watched while it goes, and the list of what it found."""

import streamlit as st

from cervix.errors import ArchiveRunRefused
from cervix.plain_text import escaped
from pages.parts.archive.found import show_found
from pages.parts.archive.resources import choose_view, chosen_run, desk, new_run_asked
from pages.parts.archive.slides import show_slides
from pages.parts.archive.starting import show_empty, show_new_run
from pages.parts.archive.watching import show_watched
from pages.parts.shared.frame import bundle_or_stop, page_line
from pages.parts.shared.people import person
from pages.parts.shared.sandbox import in_sandbox
from pages.parts.shared.unevaluated import show_unevaluated

line = page_line("Archive")
bundle = bundle_or_stop()
if not bundle.manifest.of_kind("tile"):
    st.info("The bundle has no model that reads slides.", icon=":material/block:")
    st.stop()
if in_sandbox():
    st.info("Runs over an archive are not for the sandbox: leave it to see those of this server.", icon=":material/toys:")
    st.stop()

runs = desk().runs()
if not runs:
    show_empty(bundle)
    st.stop()
if new_run_asked():
    show_new_run(bundle)
    st.stop()
with line:
    view = choose_view()
    run = chosen_run(runs)
try:
    show_unevaluated(bundle.manifest.first_of("tile"))
    show_watched(run.id)
    if person().may_browse and view == "slides":
        show_slides(run, bundle)
    elif person().may_browse:
        show_found(run)
    else:
        st.info("Which slides these are is shown to readers and admins only.", icon=":material/visibility_off:")
except ArchiveRunRefused as error:
    st.error(escaped(str(error)), icon=":material/error:")
