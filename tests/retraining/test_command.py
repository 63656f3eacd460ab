"""The command that the app runs, and the one it shows: the same but for where the labels are."""

import argparse
import shlex
from pathlib import Path

import pytest

from cervix.bundle import Bundle
from cervix.retraining import order_of, shown_command
from cervix.retraining.command import retraining_command

CANDIDATE = Path("/srv/home of labels/candidate-1")


def as_the_trainer_reads(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    for name in ("--labels", "--from", "--out", "--recipe", "--by"):
        parser.add_argument(name)
    parser.add_argument("--model", action="append")
    parser.add_argument("--seed", type=int)
    return parser.parse_args(arguments)


@pytest.mark.parametrize("by", ["local reader", "-x", "O'Hara; rm -rf $HOME", "--out"])
def test_every_part_arrives_as_it_was_ordered(bundle: Bundle, by: str) -> None:
    order = order_of(bundle, ["slide", "history"], "retrain", 7, by)
    run = retraining_command(Path("/opt/python"), order, CANDIDATE)
    assert run[:5] == ["/opt/python", "-m", "training", "--json", "retrain"]
    read = vars(as_the_trainer_reads(run[5:]))
    assert read == {
        "labels": None, "from": str(bundle.root), "out": str(CANDIDATE), "model": ["slide", "history"], "recipe": "retrain",
        "seed": 7, "by": by,
    }  # fmt: skip
    place, shown = shown_command(order, CANDIDATE, "sqlite:////srv/labels of ours.sqlite").split("\n")
    assert Path(shlex.split(place)[1], "training").is_dir()
    assert vars(as_the_trainer_reads(shlex.split(shown)[4:])) == read | {"labels": "sqlite:////srv/labels of ours.sqlite"}


def test_the_address_of_a_database_is_shown_as_the_variable_that_holds_it(bundle: Bundle) -> None:
    order = order_of(bundle, ["slide"], "retrain-small", None, "Dr Reed")
    shown = shown_command(order, CANDIDATE, "postgresql://reader:s3cret@db/labels")
    assert '--labels "$CERVIX_LABELS_URL"' in shown
    assert "s3cret" not in shown
    assert "--seed" not in shown


def test_an_order_names_the_folder_that_the_bundle_is_in_and_not_a_link_to_it(bundle: Bundle, tmp_path: Path) -> None:
    active = tmp_path / "active"
    active.symlink_to(bundle.root)
    order = order_of(Bundle(active, bundle.manifest, bundle.sha256, {}, []), ["slide"], "retrain", 1, "Dr Reed")
    assert order.bundle_dir == bundle.root.resolve()
    assert order.bundle_sha256 == bundle.sha256
