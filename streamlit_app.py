"""The server: the app's pages, the routes beside them, the door before both. Start with ``streamlit run streamlit_app.py``."""

from pathlib import Path

import streamlit as st

from cervix.web import door, routes, serving

INDEX = Path(st.__file__).parent / "static" / "index.html"

app = st.App("pages/navigation.py", routes=routes, middleware=door(INDEX), lifespan=serving)
