"""Start: what this is, one button, cases to try, how good it is and where not to trust it."""

import streamlit as st

from cervix.plain_text import escaped
from cervix.samples.cases import CASES, FACTORS
from cervix.settings import get_settings
from pages.parts.shared.frame import bundle_or_stop, on_cpu
from pages.parts.shared.shelf import show_shelf
from pages.parts.start.hero import show_hero
from pages.parts.start.how_good import show_how_good
from pages.parts.start.real_slides import show_real_slides

bundle = bundle_or_stop()
show_hero(bundle)
if on_cpu(bundle) and get_settings().device == "cuda":
    st.warning("A GPU was requested (CERVIX_DEVICE=cuda) but none can be used; scoring runs on the CPU.")
show_shelf([case for case in CASES if case.id != FACTORS])
show_real_slides()
show_how_good(bundle)

with st.container(key="limits"):
    st.header("Where not to trust it", anchor=False)
    st.markdown("\n".join(f"- **{escaped(model.title)}.** {escaped(model.limits[0])}" for model in bundle.manifest.models))
    st.page_link("evidence.py", label="All limits and figures", icon=":material/monitoring:")
