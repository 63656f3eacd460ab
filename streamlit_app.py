"""The server: the app's pages, the routes beside them, the door before both. Start with ``streamlit run streamlit_app.py``."""

import os
import sys
from pathlib import Path

import streamlit as st

from cervix.api import api_routes
from cervix.web import door, routes, serving

# ``streamlit run streamlit_app.py -- --demo``
if "--demo" in sys.argv[1:]:
    os.environ["CERVIX_DEMO"] = "true"

INDEX = Path(st.__file__).parent / "static" / "index.html"

app = st.App("pages/navigation.py", routes=[*api_routes, *routes], middleware=door(INDEX), lifespan=serving)
