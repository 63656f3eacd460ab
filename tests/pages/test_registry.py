"""From the registry, on the step Compare: listed, added with a click, told in words where it cannot be."""

import hashlib
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from cervix.labels import open_store
from cervix.settings import get_settings
from tests import file_server
from tests.bundle.altered import candidate_of_risk_models
from tests.pages.opening import PATIENCE_S, open_page, texts


@pytest.fixture
def listed(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[file_server.Archive]:
    """A server whose registry lists one bundle, which the archive holds."""
    del home
    archive, root = file_server.Archive(), candidate_of_risk_models(tmp_path / "other", "0.2.0")
    content = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", root)).read_bytes()
    archive.contents["bundle.zip"] = content
    monkeypatch.setenv("CERVIX_OFFLINE", "0")
    monkeypatch.setenv("CERVIX_BUNDLE_REGISTRY", str(tmp_path / "registry.json"))
    get_settings.cache_clear()
    with file_server.serving(archive):
        entry = {
            "name": "made-for-tests", "version": "0.2.0", "url": f"{archive.address}/data/bundle.zip", "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(), "summary": "Two models of <b>risk</b>.", "licence": "CC BY 4.0",
        }  # fmt: skip
        (tmp_path / "registry.json").write_text(json.dumps({"bundles": [entry]}))
        yield archive


def press(app: AppTest, beginning: str) -> AppTest:
    next(button for button in app.button if (button.key or "").startswith(beginning)).click()
    return app.run()


@pytest.mark.slow
def test_a_bundle_of_the_registry_is_added_and_compared_and_the_audit_trail_says_by_whom(
    listed: file_server.Archive,
) -> None:
    app = press(open_page("improve/compare"), "registry")
    said = texts(app)
    assert "made-for-tests 0.2.0" in said
    assert "licence CC BY 4.0" in said
    assert "<b>" not in said, "what a list says is no markup"
    press(app, "registry_add_")
    deadline = time.monotonic() + PATIENCE_S
    while "On this server" not in texts(app) or app.selectbox(key="compare_folder").value is None:
        assert time.monotonic() < deadline, texts(app)
        app.run()
    assert not app.exception
    assert app.selectbox(key="compare_folder").value.startswith("made-for-tests-0.2.0-"), "it is the one compared now"
    assert len(listed.requests) == 1
    with open_store(get_settings().label_store_url) as store:
        (event,) = store.audit_trail().to_dict("records")
    assert (event["who"], event["what"], event["subject"]) == ("local reader", "add bundle", "made-for-tests 0.2.0")


def test_a_bundle_that_cannot_be_had_is_one_sentence_and_the_button_stays(
    listed: file_server.Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed.plan("bundle.zip", file_server.status(404))
    app = press(press(open_page("improve/compare"), "registry"), "registry_add_")
    deadline = time.monotonic() + PATIENCE_S
    while not app.warning:
        assert time.monotonic() < deadline, texts(app)
        app.run()
    assert "The registry refuses made-for-tests 0.2.0: expected status 200; found status 404" in app.warning[0].value
    add = [button for button in app.button if (button.key or "").startswith("registry_add_")]
    assert [button.disabled for button in add] == [False]
    monkeypatch.setenv("CERVIX_OFFLINE", "1")
    get_settings.cache_clear()
    app.run()
    assert "This server may not use the network (CERVIX_OFFLINE)" in texts(app)
    add = [button for button in app.button if (button.key or "").startswith("registry_add_")]
    assert [button.disabled for button in add] == [True]


@pytest.mark.usefixtures("home")
def test_where_no_registry_is_named_the_list_says_how_to_name_one() -> None:
    app = press(open_page("improve/compare"), "registry")
    assert "No registry is named: expected CERVIX_BUNDLE_REGISTRY" in texts(app)
    assert not app.warning
    press(app, "registry")
    assert "No registry is named" not in texts(app), "a second press closes it"


def test_only_admins_see_the_registry_and_nobody_in_a_sandbox(
    listed: file_server.Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cervix.people.Person.may_add_bundles", False)
    app = open_page("improve/compare")
    assert not [button for button in app.button if (button.key or "").startswith("registry")]
    assert not listed.requests
