"""The manifest's schema is published, and the committed manifest follows it."""

import json

import jsonschema
import pytest
from pydantic import ValidationError

from cervix.bundle import Bundle, Model
from cervix.bundle.manifest import Manifest, json_schema, manifest_text
from cervix.settings import PROJECT_ROOT
from tests.bundle.made import class_of

ROOT = PROJECT_ROOT / "bundle"


def test_the_published_schema_is_the_one_the_code_enforces() -> None:
    assert (ROOT / "manifest.schema.json").read_text(encoding="utf-8") == json_schema()


def test_the_committed_manifest_follows_the_published_schema() -> None:
    schema = json.loads((ROOT / "manifest.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(json.loads((ROOT / "manifest.json").read_text(encoding="utf-8")), schema)


def test_a_manifest_survives_writing_and_reading(bundle: Bundle) -> None:
    assert Manifest.model_validate_json(manifest_text(bundle.manifest)) == bundle.manifest


def test_every_model_names_its_data_with_licence_citation_and_split(bundle: Bundle) -> None:
    for model in bundle.manifest.models:
        for data in model.training_data:
            assert data.licence
            assert data.citation
        assert set(model.training_data[0].counts) >= {"train", "validation", "test"}


def test_the_slide_model_says_that_it_was_trained_on_lung(bundle: Bundle) -> None:
    assert "lung" in " ".join(bundle.manifest.model("slide").limits)


def test_tile_splits_are_about_60_20_20_by_source_image(bundle: Bundle) -> None:
    groups = bundle.manifest.model("slide").training_data[0].groups
    total = sum(groups.values())
    assert groups["train"] / total == pytest.approx(0.6, abs=0.02)
    assert groups["validation"] / total == pytest.approx(0.2, abs=0.02)
    assert groups["test"] / total == pytest.approx(0.2, abs=0.02)


@pytest.mark.parametrize(
    ("field", "value", "complaint"),
    [
        ("thresholds", [{"task": "nonsense", "value": 0.5, "chosen_by": "x"}], "unknown task"),
        ("abstention", [{"output": "nonsense", "limit": 1, "chosen_by": "x"}], "not outputs of the graph"),
        ("tiles", None, "either tiles or patient features"),
        ("classes", [class_of("benign"), class_of("scc", colour="#D55E00")], "unknown classes"),
    ],
)
def test_a_model_that_contradicts_itself_is_refused(bundle: Bundle, field: str, value: object, complaint: str) -> None:
    entry = bundle.manifest.model("slide").model_dump(mode="json") | {field: value}
    with pytest.raises(ValidationError, match=complaint):
        Model.model_validate(entry)
