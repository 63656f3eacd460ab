"""What every page shares, with data, without data and with a broken bundle."""

import shutil
from pathlib import Path

import pytest

from cervix import RESEARCH_NOTICE
from cervix.bundle import Bundle
from cervix.settings import get_settings
from tests.bundle.keys import write_keys
from tests.pages.opening import PAGES, open_page, texts


@pytest.fixture(autouse=True)
def _own_home(home: Path) -> None:
    """Each test has an app home of its own and no network."""


@pytest.mark.parametrize("name", PAGES)
def test_every_page_opens_empty_with_notice_and_provenance(name: str) -> None:
    app = open_page(name)
    assert not app.exception
    assert RESEARCH_NOTICE in texts(app)
    assert "Bundle made-for-tests" in texts(app)


# Labels can be read, settled and taken along without a bundle.
@pytest.mark.parametrize("name", [name for name in PAGES if name not in ("improve/agree", "improve/audit")])
def test_a_damaged_bundle_is_named_on_every_page_and_nothing_is_scored(
    name: str, bundle_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(bundle_root, tmp_path / "bundle")
    content = bytearray((tmp_path / "bundle/risk-factors/fp32.onnx").read_bytes())
    content[100] ^= 1
    (tmp_path / "bundle/risk-factors/fp32.onnx").write_bytes(content)
    monkeypatch.setenv("CERVIX_BUNDLE_DIR", str(tmp_path / "bundle"))
    get_settings.cache_clear()
    app = open_page(name)
    assert not app.exception
    assert "risk-factors/fp32.onnx has changed since it was exported" in app.error[0].value
    assert not app.button


def test_where_a_key_is_named_a_page_scores_nothing_with_an_unsigned_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CERVIX_BUNDLE_KEY", str(write_keys(tmp_path / "keys")[1]))
    get_settings.cache_clear()
    app = open_page("slide")
    assert not app.exception
    assert "The bundle was refused, so nothing can be scored. The bundle is not signed" in app.error[0].value


def test_the_strip_says_what_is_loaded_where_it_runs_and_that_it_proved_itself(bundle: Bundle) -> None:
    app = open_page("start")
    said = texts(app)
    assert f"Bundle {bundle.label}" in said
    assert f"{len(bundle.manifest.files)} files by their hash" in said
    assert "CPU" in said
    assert "Active is the bundle that ships with the app" in " ".join(block.value for block in app.text)
    assert "Signature: not signed." in said


def test_every_word_of_the_glossary_can_be_found_on_every_page() -> None:
    app = open_page("evidence")
    assert "*not recognised*:" in texts(app)
    app.text_input(key="glossary_find").set_value("design effect").run()
    assert "*design effect*:" in texts(app)
    assert "*not recognised*:" not in texts(app)
    app.text_input(key="glossary_find").set_value("no such word").run()
    assert "No word matches" in texts(app)
