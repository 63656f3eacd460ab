"""Slides: bring one in, look at it, score it live, read the answer, export it."""

import streamlit as st

from cervix.errors import CervixError
from cervix.plain_text import escaped
from pages.parts.shared.frame import bundle_or_stop
from pages.parts.slide.beside import show_beside
from pages.parts.slide.facts import opened_with_scale, plan_or_ask, show_facts_and_start
from pages.parts.slide.intake import show_intake
from pages.parts.slide.resources import desk
from pages.parts.slide.views import explore, show_all_tiles, show_answer, show_gallery, show_map, show_progress

st.title("Slides")
bundle = bundle_or_stop()
if not bundle.manifest.of_kind("tile"):
    st.info("The bundle has no model that reads slides.", icon=":material/block:")
    st.stop()
model = bundle.session_of("tile").model
if resumed := desk().resume(bundle):
    st.toast(f"{resumed} interrupted scores resume now.")

show_intake()
if "slide_path" not in st.session_state:
    st.info("Upload a slide or try a sample. Scoring starts when you press the button; nothing leaves this server.")
    st.stop()
if st.session_state["slide_credit"]:
    st.caption(st.session_state["slide_credit"])

try:
    slide = opened_with_scale()
    plan = plan_or_ask(slide, bundle) if slide is not None else None
    if slide is None or plan is None:
        st.stop()
    job = show_facts_and_start(slide, bundle, plan)
except CervixError as error:
    st.error(escaped(str(error)), icon=":material/broken_image:")
    st.stop()

score = desk().score(slide, bundle, everywhere=plan.everywhere)
if job is not None:
    show_progress(slide, bundle, job)
elif score is None:
    show_map(slide, model, {})
else:
    show_answer(score, model)
    explore(slide, score, bundle)
    show_gallery(slide, score, model)
    show_all_tiles(slide, score, bundle)
show_beside(slide, bundle)
