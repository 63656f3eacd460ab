"""Pages as tests open and read them."""

import time
from pathlib import Path

from streamlit.testing.v1 import AppTest

from cervix.bundle.manifest import Manifest
from cervix.settings import PROJECT_ROOT

PATIENCE_S = 180.0
PAGES = [
    "start", "slide", "patient", "archive", "evidence", "evidence/card", "improve/gather", "improve/label", "improve/agree",
    "improve/retrain", "improve/compare", "improve/promote", "improve/audit",
]  # fmt: skip
TIMEOUT_S = 180


def open_page(where: str) -> AppTest:
    """A page, and a view of it after a slash."""
    page, _, view = where.partition("/")
    app = AppTest.from_file(str(PROJECT_ROOT / "pages/navigation.py"), default_timeout=TIMEOUT_S)
    if view:
        app.session_state[f"{page}_view"] = view
    app.run()
    return app if page == "start" else app.switch_page(f"{page}.py").run()


def published_accuracy(manifest: Manifest) -> str:
    """Of the publication that the slide model follows, as pages write it."""
    figures = manifest.model("slide").measured.published
    return f"{100 * next(figure.value for figure in figures if figure.metric == 'accuracy'):g} %"


def look_at(path: Path) -> AppTest:
    """The slide page with a slide already brought in."""
    app = open_page("slide")
    app.session_state["slide_path"] = path
    app.session_state["slide_name"] = app.session_state["slide_credit"] = ""
    return app.run()


def scored(path: Path) -> AppTest:
    """The slide page with a slide that was scored on it."""
    app = look_at(path)
    app.button(key="slide_score").click().run()
    deadline = time.monotonic() + PATIENCE_S
    while [button for button in app.button if button.key == "slide_pause"]:
        assert time.monotonic() < deadline, "waited in vain"
        app.run()
    assert not app.exception
    return app


def turn_to(app: AppTest, tabs: str, view: str) -> None:
    """Open one of the tabs of a patient's page."""
    app.session_state[tabs] = view
    app.run()
    assert not app.exception


def hypothetical(app: AppTest) -> list[str]:
    return [metric.value for metric in app.metric if "hypothetical" in metric.label]


def texts(app: AppTest) -> str:
    blocks = [*app.markdown, *app.warning, *app.error, *app.info, *app.caption, *app.success]
    return "\n".join(str(block.value) for block in blocks)
