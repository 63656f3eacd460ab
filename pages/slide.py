"""Slide: the map first, and beside it the answer, from the first tiles to the last; on its other side the tumour's microRNA."""

import streamlit as st

from cervix.errors import CervixError
from cervix.plain_text import escaped
from cervix.settings import get_settings
from pages.parts.molecular.side import show_molecular
from pages.parts.molecular.table import keep_tumours, open_tumours_again, tumours_are_open
from pages.parts.shared.frame import bundle_or_stop, page_line
from pages.parts.slide.below import show_below
from pages.parts.slide.beside import show_beside
from pages.parts.slide.exports import show_exports
from pages.parts.slide.intake import show_cases, show_intake, show_switch
from pages.parts.slide.look import look, open_what_is_asked_for, say_what_is_missing, start_if_asked
from pages.parts.slide.resources import desk, put_on_shelf
from pages.parts.slide.second import offer_second, show_second
from pages.parts.slide.views import MOLECULAR, chosen_view
from pages.parts.slide.workbench import show_workbench

line = page_line("Slide")
bundle = bundle_or_stop()
view = chosen_view(bundle, line)
open_tumours_again()
if tumours_are_open():
    keep_tumours()
if view == MOLECULAR:
    open_what_is_asked_for()
    show_molecular(bundle, line)
    st.stop()
if not bundle.manifest.of_kind("tile"):
    st.info("The bundle has no model that reads slides.", icon=":material/block:")
    st.stop()
if resumed := desk().resume(bundle):
    st.toast(f"{resumed} interrupted scores resume now.")

is_open = open_what_is_asked_for()
say_what_is_missing()
if not is_open:
    show_intake()
    leaves = "nothing leaves this server" + (" but what you look for in the archive" if get_settings().archive_url else "")
    st.caption(f"A slide that you bring is scored when you say so; {leaves}.")
    show_cases()
    st.stop()

with line:
    show_switch()
try:
    seen = start_if_asked(look(bundle), bundle)
except CervixError as error:
    st.error(escaped(str(error)), icon=":material/broken_image:")
    st.stop()
if seen.plan is not None:
    put_on_shelf(seen.slide, seen.plan)
with line:
    if seen.score is not None:
        with st.popover("Exports", icon=":material/download:", key="slide_exports"):
            show_exports(seen.slide, seen.score, bundle)
    offer_second(bundle)
    beside = st.toggle("Second slide beside", key="slide_beside")

show_workbench(seen, bundle)
show_second(seen, bundle)
if beside:
    show_beside(seen.slide, bundle)
show_below(seen, bundle)
