"""The server: the app's pages and the routes beside them. Start with ``streamlit run streamlit_app.py``."""

import streamlit as st

from cervix.web import routes, serving

app = st.App("pages/navigation.py", routes=routes, lifespan=serving)
