"""Limits that decide what is read, scored, warned of or promoted are pinned apart from the code."""

import csv
from importlib import import_module
from pathlib import Path

LIMITS = Path(__file__).with_name("pinned_limits.csv")


def check() -> None:
    with LIMITS.open(encoding="utf-8", newline="") as file:
        for module, constant, value in list(csv.reader(file))[1:]:
            assert str(getattr(import_module(module), constant)) == value, f"{module}.{constant}"


def test_every_limit_is_as_pinned() -> None:
    check()
