"""Limits that decide what is read, scored, warned of or promoted are pinned apart from the code."""

import csv
from importlib import import_module
from pathlib import Path

from benchmarks.mutants import every_change

LIMITS = Path(__file__).with_name("pinned_limits.csv")


def check() -> None:
    with LIMITS.open(encoding="utf-8", newline="") as file:
        for module, constant, value in list(csv.reader(file))[1:]:
            assert str(getattr(import_module(module), constant)) == value, f"{module}.{constant}"


def test_every_limit_is_as_pinned() -> None:
    check()


def test_every_constant_that_is_changed_to_see_whether_tests_see_it_is_where_it_is_sought() -> None:
    assert len(every_change()) > 900
