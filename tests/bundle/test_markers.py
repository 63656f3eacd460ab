"""What a manifest must say of a molecular model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from cervix.bundle.loading import read_manifest
from cervix.bundle.manifest import Model
from tests.bundle.made.tumours import write_molecular_bundle


@pytest.fixture(scope="module")
def entry(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The entry of a made molecular model."""
    root: Path = write_molecular_bundle(tmp_path_factory.mktemp("markers") / "bundle")
    return read_manifest(root)[0].models[0].model_dump()


def test_a_molecular_model_lists_the_files_of_its_markers(entry: dict[str, Any]) -> None:
    assert {"molecular/golden.csv", "molecular/golden-table.npz", "molecular/sample.csv"} <= set(
        Model.model_validate(entry).files
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda it: it.update(markers=None), "declares markers"),
        (lambda it: it.update(kind="joint"), "reads either tiles or patient features"),
        (lambda it: it["markers"]["encoding"].pop(), "a column for each of its markers"),
        (lambda it: it["inputs"][0].update(name="reads"), "reads rpm"),
        (lambda it: it["abstention"].pop(0), "beyond which limits it is not heard; missing are .'novelty'"),
        (lambda it: it["abstention"].pop(2), "missing are .'key_known'"),
        (lambda it: it["markers"]["encoding"][0].update(synonyms=["HSA-MIR-944"]), "two markers have one name"),
        (lambda it: [marker.update(key=False) for marker in it["markers"]["encoding"]], "no marker is a key marker"),
        (lambda it: it["markers"]["encoding"][-1].update(key=True), "a key marker is one of the answer's"),
        (lambda it: it["markers"]["encoding"][0].update(trained_on=(5.0, 1.0)), "the lowest first"),
        (lambda it: it["markers"]["encoding"][0]["cohort"].update(ac=[1.0, 2.0]), "5 rising quantiles"),
        (lambda it: it["markers"]["encoding"][0]["cohort"].update(ac=[5.0, 4.0, 3.0, 2.0, 1.0]), "5 rising quantiles"),
    ],
)
def test_what_readers_rely_on_must_be_there(
    entry: dict[str, Any], change: Callable[[dict[str, Any]], object], message: str
) -> None:
    changed = Model.model_validate(entry).model_copy(deep=True).model_dump()
    change(changed)
    with pytest.raises(ValidationError, match=message):
        Model.model_validate(changed)


def test_a_model_without_the_gates_among_its_outputs_is_refused(entry: dict[str, Any]) -> None:
    changed = Model.model_validate(entry).model_dump()
    changed["outputs"] = [spec for spec in changed["outputs"] if spec["name"] != "contributions"]
    for variant in changed["variants"]:
        variant["tolerance"].pop("contributions")
    with pytest.raises(ValidationError, match="missing are .'contributions'"):
        Model.model_validate(changed)
