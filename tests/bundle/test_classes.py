"""What a class, a kind and the question for cancer may be, and what is refused."""

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from cervix.bundle import Bundle, Model
from cervix.bundle.classes import ClassInfo, check_distinct
from cervix.errors import BundleError
from tests.bundle.made import MODEL_ID, class_of

Entry = dict[str, Any]


def entry_of(bundle: Bundle) -> Entry:
    entry: Entry = bundle.session_of("tile").model.model_dump(mode="json")
    return entry


def with_role(entry: Entry, label: str, role: str) -> None:
    next(item for item in entry["classes"] if item["id"] == label)["role"] = role


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", "SCC"), ("id", "a_b"), ("id", ""), ("id", "1st"), ("id", "a" * 41), ("id", "p scc"), ("id", "scc\n"),
        ("title", ""), ("title", " Benign"), ("title", "x" * 61), ("title", "<b>Benign</b>"), ("title", "[Benign](x)"),
        ("title", "*Benign*"), ("title", "Benign\nx"), ("title", "www.example.org"), ("title", "`x`"), ("title", "x$y$"),
        ("short", ""), ("short", "thirteen long"), ("short", "|"),
        ("colour", "red"), ("colour", "#12345"), ("colour", "#12345g"), ("colour", "#1234567"), ("colour", 'url("x")'),
        ("role", "cancerous"), ("role", ""),
    ],
)  # fmt: skip
def test_a_class_that_no_screen_could_show_is_refused(field: str, value: str) -> None:
    with pytest.raises(ValidationError):
        ClassInfo.model_validate(class_of("scc").model_dump() | {field: value})


@pytest.mark.parametrize(
    "title", ["CIN2/3", "SCC, keratinising", "Ca in situ (AIS)", "Épithélium normal", "CIN2+ within 3 years"]
)
def test_words_of_the_clinic_are_titles(title: str) -> None:
    assert class_of("one", title).title == title


@pytest.mark.parametrize(
    ("title", "within"), [("Adenocarcinoma", "adenocarcinoma"), ("HSIL", "HSIL"), ("CIN2+", "CIN2+"), ("A tumour", "a tumour")]
)
def test_a_title_within_a_sentence_begins_small_unless_it_is_an_abbreviation(title: str, within: str) -> None:
    assert class_of("one", title).mid_sentence == within


@pytest.mark.parametrize(
    ("second", "complaint"),
    [
        (class_of("one", "Two", "2", "#D55E00"), "used twice"),
        (class_of("two", "ONE", "2", "#D55E00"), "one name"),
        (class_of("two", "Two", "ONE", "#D55E00"), "one short name"),
        (class_of("two", "Two", "2", "#0072B4"), "too alike"),
        (class_of("two", "Two", "2", "#000004"), "too alike"),
        (class_of("two", "Two", "2", "#777777"), "too alike"),
        (class_of("unread", "Two", "2", "#D55E00"), "there is no class"),
        (class_of("two", "Unsure", "2", "#D55E00"), "there is no class"),
        (class_of("two", "Not recognised", "2", "#D55E00"), "there is no class"),
    ],
)
def test_classes_that_could_be_taken_for_one_another_are_refused(second: ClassInfo, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        check_distinct([class_of("one"), second])


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda entry: with_role(entry, "normal", "malignant"), "malignant classes against all others"),
        (lambda entry: with_role(entry, "invasive-squamous", "benign"), "malignant classes against all others"),
        (lambda entry: entry["derived_tasks"].pop(0), "unknown task"),
        (lambda entry: entry["thresholds"].pop(0), "no threshold for"),
        (lambda entry: entry.update(slide_rule=None), "one answer for a slide"),
        (lambda entry: entry.update(abstention=[]), "beyond which novelty"),
        (lambda entry: entry.update(kind="table"), "as its kind says"),
        (lambda entry: entry.update(kind="slide"), "'tile', 'slide-head', 'sequence'"),
        (lambda entry: entry.update(id="Slide"), "String should match"),
        (lambda entry: entry.update(id="../slide"), "String should match"),
        (lambda entry: entry["outputs"][0].update(shape=["N", 3]), "for 4 classes"),
        (lambda entry: entry["outputs"][3].update(name="map"), "no golden tolerance|not outputs"),
    ],
)
def test_a_tile_model_that_readers_could_not_use_is_refused(
    four_class_bundle: Bundle, change: Callable[[Entry], object], complaint: str
) -> None:
    entry = entry_of(four_class_bundle)
    Model.model_validate(entry)
    change(entry)
    with pytest.raises(ValidationError, match=complaint):
        Model.model_validate(entry)


def test_the_question_for_cancer_is_known_by_roles_and_not_by_its_name(bundle: Bundle, four_class_bundle: Bundle) -> None:
    assert bundle.session_of("tile").model.cancer_task.positive == ["scc", "ac"]
    assert four_class_bundle.session_of("tile").model.cancer_task.id == "invasive"
    with pytest.raises(BundleError, match="is not asked for cancer"):
        _ = bundle.session_of("sequence").model.cancer_task


def test_models_are_found_by_kind_the_first_or_the_one_named(bundle: Bundle, four_class_bundle: Bundle) -> None:
    assert {kind: [model.id for model in bundle.manifest.of_kind(kind)] for kind in ("tile", "table", "molecular")} == {
        "tile": ["slide"], "table": ["risk-factors", "risk-factors-with-tests"], "molecular": [],
    }  # fmt: skip
    assert bundle.session_of("table").model.id == "risk-factors"
    assert bundle.session_of("table", "risk-factors-with-tests").model.id == "risk-factors-with-tests"
    assert four_class_bundle.session_of("tile").model.id == MODEL_ID
    with pytest.raises(BundleError, match="no such table model: expected risk-factors or risk-factors-with-tests"):
        bundle.session_of("table", "slide")
    with pytest.raises(BundleError, match="no such sequence model"):
        four_class_bundle.session_of("sequence")
