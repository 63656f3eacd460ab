"""A server of the routes for programs alone: no pages, no Streamlit."""

from starlette.applications import Starlette

from cervix.api import api_routes
from cervix.web import door, program_routes, serving


def server() -> Starlette:
    """The application, behind the same door as the app: own names only, safe headers."""
    return Starlette(routes=[*api_routes, *program_routes], middleware=door(None), lifespan=serving)
