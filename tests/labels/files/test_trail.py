"""The audit trail is searched, read in words and taken along."""

import io
import json
from datetime import timedelta

import pandas as pd
import pytest

from cervix import RESEARCH_NOTICE
from cervix.labels import LabelStore, open_store
from cervix.labels.files.trail import narrowed, trail_csv, trail_table


@pytest.fixture
def trail(sqlite_url: str) -> pd.DataFrame:
    with open_store(sqlite_url) as store:
        return with_entries(store).audit_trail()


def with_entries(store: LabelStore) -> LabelStore:
    store.audit_append("Ada", "export", "labels.csv", {"rows": 1234})
    rules = [{"rule": "AUROC falls by less than 0.02", "finding": "not shown"}, {"rule": "none lost", "finding": "met"}]
    facts = {"from": "demo 1.0.0 (aaaaaaaaaa)", "from_sha256": "a" * 64, "reason": "", "rules": rules}
    store.audit_append("Bea", "promote", "demo 1.0.1 (bbbbbbbbbb)", facts)
    store.audit_append("=cmd()", "not promoted", "demo 1.0.2", {"why": "It failed."})
    return store


def test_details_are_words_without_hashes_and_the_newest_comes_first(trail: pd.DataFrame) -> None:
    table = trail_table(trail)
    assert table["what"].tolist() == ["not promoted", "promote", "export"]
    assert table["details"].tolist() == [
        "why: It failed.", "from: demo 1.0.0 (aaaaaaaaaa); rules: 2 entries", "rows: 1,234",
    ]  # fmt: skip
    assert table["when"].str.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d").all()


def test_it_is_narrowed_by_who_what_when_and_text(trail: pd.DataFrame) -> None:
    assert narrowed(trail, who=["Ada", "Bea"])["who"].tolist() == ["Bea", "Ada"]
    assert narrowed(trail, what=["export"])["who"].tolist() == ["Ada"]
    assert narrowed(trail, text="1.0.1")["who"].tolist() == ["Bea"]
    assert narrowed(trail, text="FAILED")["what"].tolist() == ["not promoted"]
    moment = trail["recorded_at"].max() + timedelta(seconds=1)
    assert narrowed(trail, since=moment).empty
    assert len(narrowed(trail, since=moment - timedelta(hours=1))) == len(narrowed(trail)) == 3


def test_the_csv_holds_everything_with_the_notice_and_no_formula(trail: pd.DataFrame) -> None:
    written = pd.read_csv(io.BytesIO(trail_csv(trail)))
    assert set(written["notice"]) == {RESEARCH_NOTICE}
    assert written["who"].tolist() == ["'=cmd()", "Bea", "Ada"]
    assert json.loads(written["detail"][1]) == trail["detail"][1]
    assert written["recorded_at"].str.endswith("+00:00").all()
    empty = trail.iloc[:0]
    assert trail_table(empty).empty
    assert trail_csv(empty).startswith(b"id,who,recorded_at,what,subject,detail,notice")
