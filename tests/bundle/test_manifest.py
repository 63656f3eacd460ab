"""A manifest survives being written, and contradicts itself nowhere."""

import pytest
from pydantic import ValidationError

from cervix.bundle import Bundle, Model
from cervix.bundle.manifest import FeatureEncoding, FeatureInput, Manifest, manifest_text
from cervix.patients.encoding import features_of
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


@pytest.mark.parametrize(
    ("model_id", "changes", "complaint"),
    [
        ("history", {"episode_days": None}, "episodes have a length in days"),
        ("history", {"steps": "rows"}, "episodes have a length in days"),
        ("risk-factors", {"steps": "episodes", "episode_days": 90}, "with one row a patient, a step is a row"),
    ],
)
def test_steps_that_contradict_themselves_are_refused(
    bundle: Bundle, model_id: str, changes: dict[str, object], complaint: str
) -> None:
    features = features_of(bundle.session(model_id))
    with pytest.raises(ValidationError, match=complaint):
        FeatureInput.model_validate(features.model_dump() | changes)


def test_a_range_of_training_that_begins_above_its_end_is_refused(bundle: Bundle) -> None:
    age = features_of(bundle.session("history")).encoding[0]
    with pytest.raises(ValidationError, match="the lowest number in training is above the highest"):
        FeatureEncoding.model_validate(age.model_dump() | {"trained_on": (75, 21)})


def test_a_manifest_of_before_episodes_says_that_a_step_is_a_row(bundle: Bundle) -> None:
    before = features_of(bundle.session("history")).model_dump(exclude={"steps", "episode_days"})
    assert FeatureInput.model_validate(before).steps == "rows"
