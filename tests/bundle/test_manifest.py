"""A manifest survives being written, and contradicts itself nowhere."""

import pytest
from pydantic import ValidationError

from cervix.bundle import Bundle, Model
from cervix.bundle.manifest import Manifest, manifest_text
from tests.bundle.made import class_of


def test_a_manifest_survives_writing_and_reading(bundle: Bundle) -> None:
    assert Manifest.model_validate_json(manifest_text(bundle.manifest)) == bundle.manifest


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
