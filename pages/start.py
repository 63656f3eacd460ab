"""Overview: what this is, whether the bundle proved itself, what to try first."""

import streamlit as st

from cervix.bundle.sessions import CPU_PROVIDER
from cervix.plain_text import escaped
from cervix.settings import get_settings
from pages.parts.improve.bundles.promotion import show_line
from pages.parts.shared.frame import bundle_or_stop, leading_session, provider_line

st.title("Cervix Workbench")
st.markdown(
    "Papers report models that tell squamous-cell carcinoma from adenocarcinoma on histology tiles almost without error, "
    "and models that predict a woman's risk from her records nearly as well. Here you can **try** such models on your own "
    "slide or patient table, **check** their held-out figures, and **see where they must not be trusted**."
)
bundle = bundle_or_stop()

st.subheader("Try first")
slides, patients, performance = st.columns(3, border=True)
with slides:
    st.page_link("slide.py", label="**Score a slide**", icon=":material/grid_on:")
    st.write("Upload a whole-slide image or use the sample. Tiles are scored live; click one to see why.")
with patients:
    st.page_link("patient.py", label="**Score a patient table**", icon=":material/groups:")
    st.write("Upload screening visits or risk factors, or use a sample. Select a woman to see what her risk is based on.")
with performance:
    st.page_link("evidence.py", label="**Check the figures**", icon=":material/monitoring:")
    st.write("Confusion matrices and ROC curves on cases the models never saw, beside simple baselines and published figures.")

st.subheader("What is loaded")
verdict, device, contents = st.columns(3, border=True)
verdict.metric("Bundle", f"{bundle.manifest.version}, verified")
verdict.caption(
    f"{escaped(bundle.manifest.name)} · {bundle.short_hash} · {len(bundle.manifest.files)} files hashed, "
    f"{len(bundle.checks)} golden replays passed"
)
on_cpu = leading_session(bundle).provider == CPU_PROVIDER
device.metric("Scoring runs on", "CPU" if on_cpu else "GPU")
device.caption(provider_line(bundle))
contents.metric("Models", len(bundle.manifest.models))
contents.caption(" · ".join(f"`{model.id}`" for model in bundle.manifest.models))
show_line()
if on_cpu and get_settings().device == "cuda":
    st.warning("A GPU was requested (CERVIX_DEVICE=cuda) but none can be used; scoring runs on the CPU.")

st.subheader("Where not to trust it")
for model in bundle.manifest.models:
    with st.expander(escaped(model.title), expanded=model.kind == "tile"):
        st.markdown("\n".join(f"- {escaped(limit)}" for limit in model.limits))
