"""Compare bundles: a candidate beside the active one, with a verdict by rules stated beforehand."""

import hashlib
import tempfile
from pathlib import Path

import streamlit as st

from cervix.bundle import Bundle, load_bundle
from cervix.bundle.archive import unpack_bundle
from cervix.card.comparison import comparison_text
from cervix.errors import CervixError
from cervix.evaluation.bundle_comparison import BundleComparison, compare_bundles
from cervix.settings import get_settings
from pages.parts.bundle_comparison_views import show_manifest_differences, show_model, show_verdict
from pages.parts.frame import bundle_or_stop, kept


def compared(active: Bundle, key: str, folder: Path) -> BundleComparison:
    """The comparison with the bundle in a folder, made once a session for each."""

    def make() -> BundleComparison:
        with st.spinner("Proving the candidate, then comparing every figure in 1,000 paired bootstrap samples …"):
            return compare_bundles(active, load_bundle(folder, device=get_settings().device))

    return kept("comparison", (active.sha256, key), make)


st.title("Compare bundles")
active = bundle_or_stop()
st.markdown(
    "A candidate bundle is put beside the active one on the held-out cases that both scored: the same cases, paired, each "
    "model at its own threshold. It proves itself first, as every bundle does: schema, hashes, signatures, golden vectors."
)
folder = get_settings().bundles_dir
found = {path.name: path for path in sorted(folder.glob("*")) if (path / "manifest.json").is_file()}
from_server, from_here = st.columns(2)
chosen = from_server.selectbox(
    "Candidate on this server",
    list(found),
    index=None,
    placeholder="Choose a folder" if found else "None yet",
    disabled=not found,
    help=f"Folders with a manifest under {folder}",
    key="compare_folder",
)
uploaded = from_here.file_uploader("Or a candidate as a zip", type=["zip"], key="compare_upload")
try:
    if uploaded is not None:
        content = uploaded.getvalue()
        with tempfile.TemporaryDirectory() as place:
            archive = Path(place) / "bundle.zip"
            archive.write_bytes(content)
            root = unpack_bundle(archive, Path(place))
            comparison = compared(active, hashlib.sha256(content).hexdigest(), root)
    elif chosen:
        manifest = found[chosen] / "manifest.json"
        comparison = compared(active, f"{chosen} {manifest.stat().st_mtime_ns}", found[chosen])
    else:
        st.info(
            f"Nothing to compare yet. Bring a candidate as a zip of its folder, or put the folder under `{folder}`. "
            "A candidate comes from `python -m training build`. An uploaded one is compared and forgotten.",
            icon=":material/difference:",
        )
        st.stop()
except CervixError as error:
    st.error(f"The candidate was refused, so nothing is compared. {error}", icon=":material/gpp_bad:")
    st.stop()

show_verdict(comparison)
st.download_button(
    "Download the comparison (Markdown)",
    lambda: comparison_text(comparison).encode(),
    file_name="bundle-comparison.md",
    mime="text/markdown",
    icon=":material/download:",
    on_click="ignore",
    key="compare_download",
)
for model in comparison.changed:
    show_model(model)
show_manifest_differences(comparison)
