"""A candidate is promoted and rolled back on a page, sessions finish with what they started with, all of it on record."""

import re
import shutil
import zipfile
from io import BytesIO
from pathlib import Path

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from cervix import RESEARCH_NOTICE
from cervix.bundle.active import POINTER_NAME, promotion_line
from cervix.labels import open_store
from cervix.people import Person
from cervix.settings import get_settings
from tests.bundle.altered import bundle_of_risk_models, candidate_of_risk_models, edit_manifest
from tests.pages.opening import TIMEOUT_S, open_page, texts

REASON = "The clinic wants to try it."
ENTRY = """
from pages.parts.improve.audit import show_entry
from pages.parts.shared.store import label_store_or_stop

trail = label_store_or_stop().audit_trail()
show_entry(trail[trail["what"] == "promote"].iloc[0])
"""
"""One entry as the page shows it when its row is chosen."""


@pytest.fixture(autouse=True)
def bundles(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A server with the small bundle, and two candidates: 0.9.0 meets every rule, 0.9.1 does not."""
    monkeypatch.setenv("CERVIX_BUNDLE_DIR", str(bundle_of_risk_models(tmp_path / "shipped")))
    get_settings.cache_clear()
    candidate_of_risk_models(home / "bundles/better", "0.9.0")
    candidate_of_risk_models(home / "bundles/worse", "0.9.1", worse=True)
    return home / "bundles"


def press(app: AppTest, key: str) -> AppTest:
    app.button(key=key).click().run()
    assert not app.exception
    return app


def beside(folder: str) -> AppTest:
    """The page with a candidate compared."""
    app = open_page("improve/compare")
    app.selectbox(key="compare_folder").set_value(folder).run()
    assert not app.exception
    return app


def promoted(folder: str) -> AppTest:
    return press(press(beside(folder), "promote"), "promotion_sure")


def keys(app: AppTest) -> set[str]:
    return {button.key for button in app.button}


def version_of(app: AppTest) -> str:
    """Of the bundle of a session, as the strip on top names it."""
    found = re.search(r"\*\*Bundle \S+ (\S+) ", texts(app))
    assert found
    return found[1]


def plain(app: AppTest) -> str:
    return "\n".join(block.value for block in app.text)


def trail() -> list[str]:
    with open_store(get_settings().label_store_url) as store:
        return store.audit_trail()["what"].tolist()[::-1]


def test_a_candidate_that_meets_the_rules_is_promoted_in_two_steps_and_rolled_back_in_two() -> None:
    app = beside("better")
    assert "promotion_sure" not in keys(app)
    press(app, "promote")
    assert "will take the place of" in texts(app)
    press(app, "promotion_cancel")
    assert not promotion_line(get_settings()).promotions
    press(press(app, "promote"), "promotion_sure")
    assert "Promoted: made-for-tests 0.9.0" in app.success[0].value
    assert "Bundle made-for-tests 0.9.0" in texts(app), "who promotes is switched at once"
    assert "Identical" in texts(app)

    overview = open_page("start")
    assert version_of(overview) == "0.9.0"
    assert "promoted by local reader" in plain(overview)
    assert open_page("improve/promote").dataframe[0].value["Bundle"].str[:19].tolist() == [
        "made-for-tests 0.9.",
        "The bundle that shi",
    ]

    press(app, "roll_back")
    assert "**the bundle that ships with the app** will be" in texts(app)
    press(app, "promotion_sure")
    assert "Rolled back:" in app.success[0].value
    assert "roll_back" not in keys(app)
    assert "Bundle made-for-tests 0.9.0" not in texts(app)
    assert "brought back by local reader" in plain(open_page("start"))
    assert trail() == ["promote", "roll back"]


def test_against_the_rules_it_takes_a_written_reason(bundles: Path) -> None:
    app = beside("worse")
    assert "promote" not in keys(app)
    labels = pd.read_parquet(bundles / "worse/risk-factors/predictions.parquet")["label"]
    assert f"{len(labels)}, of them {(labels == 'yes').sum()} positive" in texts(app)
    app.text_area(key="promotion_reason").set_value("why not")
    press(app, "promote_anyway")
    assert "a written reason of 10 to 1,000 characters" in app.error[0].value
    app.text_area(key="promotion_reason").set_value(REASON)
    press(app, "promote_anyway")
    assert REASON in plain(app)
    press(app, "promotion_sure")
    assert "Promoted: made-for-tests 0.9.1" in app.success[0].value
    assert open_page("improve/promote").dataframe[0].value["Against the rules, because"].iloc[0] == REASON


def test_a_session_finishes_with_the_bundle_it_started_with_and_is_offered_the_new_one() -> None:
    before = open_page("start")
    version = version_of(before)
    promoted("better")
    before.run()
    assert version_of(before) == version
    assert "**made-for-tests 0.9.0" in before.info[0].value
    assert "keeps made-for-tests" in before.info[0].value
    after = open_page("start")
    assert version_of(after) == "0.9.0"
    assert "use_active_bundle" not in keys(after)
    press(before, "use_active_bundle")
    assert version_of(before) == "0.9.0"
    assert "use_active_bundle" not in keys(before)


def test_a_session_goes_on_where_the_active_bundle_is_gone_and_a_new_one_is_told(bundles: Path) -> None:
    before = open_page("start")
    page = promoted("better")
    shutil.rmtree(bundles / "better")
    before.run()
    assert not before.error
    assert "This session keeps the bundle it started with. The bundle that was promoted is not in" in texts(before)
    after = open_page("start")
    assert "The bundle was refused, so nothing can be scored." in after.error[0].value
    assert "or roll back" in after.error[0].value
    press(press(page.run(), "roll_back"), "promotion_sure")
    assert version_of(open_page("start")) == version_of(before)


def test_a_session_whose_bundle_was_replaced_on_disk_is_told_which_it_uses_now() -> None:
    app = open_page("start")
    edit_manifest(get_settings().bundle_dir, lambda manifest: manifest.update(version="0.8.0"))
    app.run()
    assert version_of(app) == "0.8.0"
    assert "with which this session started, is no longer in its folder. It now uses made-for-tests 0.8.0" in texts(app)


@pytest.mark.parametrize("name", ["start", "improve/compare"])
def test_a_damaged_line_of_promotions_is_said_and_nothing_is_scored(name: str, home: Path) -> None:
    (home / POINTER_NAME).write_text("{")
    app = open_page(name)
    assert not app.exception
    (said,) = app.error
    assert "record of which bundle is active cannot be read" in said.value
    assert not app.button


def test_a_candidate_that_changed_after_the_comparison_is_refused(bundles: Path) -> None:
    app = press(beside("better"), "promote")
    (bundles / "better/risk-factors/golden.npz").write_bytes(b"damaged")
    press(app, "promotion_sure")
    assert "Nothing was changed. risk-factors/golden.npz has the wrong size" in app.error[0].value
    assert not promotion_line(get_settings()).promotions
    assert trail() == ["not promoted"]


def test_a_candidate_that_the_pages_could_not_use_cannot_be_promoted_whatever_the_reason(bundles: Path) -> None:
    edit_manifest(bundles / "worse", lambda manifest: manifest["models"].pop())
    app = beside("worse")
    assert "The pages could not use the candidate" in app.info[0].value
    assert not keys(app) & {"promote", "promote_anyway"}


def test_who_may_not_promote_is_told_and_sees_the_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    promoted("better")
    monkeypatch.setattr("pages.parts.improve.bundles.promotion.person", lambda: Person("Rea", "reader"))
    app = beside("worse")
    assert "Only an admin promotes and rolls back; Rea is here as reader." in texts(app)
    assert "Keep the active bundle." in texts(app)
    assert not keys(app) & {"promote", "promote_anyway", "roll_back", "promotion_keep"}


def test_an_uploaded_candidate_is_kept_before_it_is_promoted(bundles: Path) -> None:
    content = BytesIO()
    with zipfile.ZipFile(content, "w") as packed:
        for path in (bundles / "better").rglob("*"):
            packed.write(path, path.relative_to(bundles))
    shutil.rmtree(bundles / "better")
    app = open_page("improve/compare")
    app.file_uploader(key="compare_upload_0").upload("better.zip", content.getvalue(), "application/zip").run()
    assert "promote" not in keys(app)
    press(app, "promotion_keep")
    (kept,) = bundles.glob("made-for-tests-0.9.0-*")
    assert app.selectbox(key="compare_folder").value == kept.name
    press(press(app, "promote"), "promotion_sure")
    assert promotion_line(get_settings()).promotions[0].folder == kept.name
    assert trail() == ["keep bundle", "promote"]


class TestAuditTrail:
    def test_it_says_that_nothing_has_happened(self) -> None:
        app = open_page("improve/audit")
        assert not app.exception
        assert RESEARCH_NOTICE in texts(app)
        assert "No entries yet" in texts(app)

    def test_entries_are_shown_narrowed_and_opened(self) -> None:
        press(press(promoted("better"), "roll_back"), "promotion_sure")
        with open_store(get_settings().label_store_url) as store:
            store.audit_append("Ada", "export", "labels.csv", {"rows": 3})
        app = open_page("improve/audit")
        assert app.dataframe[0].value["What"].tolist() == ["export", "roll back", "promote"]
        assert "rows: 3" in app.dataframe[0].value["Details"].iloc[0]
        assert len(app.dataframe) == 1, "no entry is repeated below before one is chosen"
        app.multiselect(key="audit_what").set_value(["promote"]).run()
        assert app.dataframe[0].value["Who"].tolist() == ["local reader"]
        entry = AppTest.from_string(ENTRY, default_timeout=TIMEOUT_S).run()
        assert "Verdict: Promote: every rule is met" in plain(entry)
        assert entry.dataframe[0].value["Finding"].unique().tolist() == ["met"]
        assert app.get("download_button")
        app.text_input(key="audit_find").set_value("nothing like it").run()
        assert not app.exception
        assert "No entry matches" in texts(app)

    def test_a_store_that_cannot_be_opened_is_one_sentence(self, home: Path) -> None:
        (home / "labels.sqlite").write_bytes(b"no database" * 100)
        app = open_page("improve/audit")
        assert not app.exception
        assert "label store" in app.error[0].value
