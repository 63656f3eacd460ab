"""Limits that decide what is read, scored, warned of or promoted are pinned apart from the code."""

import csv
from importlib import import_module
from pathlib import Path

import pytest

with Path(__file__).with_name("pinned_limits.csv").open(encoding="utf-8", newline="") as file:
    LIMITS = [tuple(row) for row in list(csv.reader(file))[1:]]


@pytest.mark.parametrize(("module", "constant", "value"), LIMITS, ids=lambda cell: cell.rpartition(".")[2])
def test_the_limit_is_as_pinned(module: str, constant: str, value: str) -> None:
    assert str(getattr(import_module(module), constant)) == value
