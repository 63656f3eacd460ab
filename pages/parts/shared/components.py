"""The three controls that Streamlit does not have: an upload that streams to disk, instruments around the slide map, the tour.

Their markup, styles and scripts are the files of ``pages/components/``; nothing of what a user sends becomes markup.
"""

from pathlib import Path

import streamlit as st

FOLDER = Path(__file__).resolve().parents[2] / "components"


def _registered(name: str):  # type: ignore[no-untyped-def]
    html, css, js = ((FOLDER / f"{name}.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js"))
    return st.components.v2.component(f"cervix_{name}", html=html, css=css, js=js)


uploader = _registered("uploader")
viewer = _registered("viewer")
tour = _registered("tour")
