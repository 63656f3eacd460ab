"""The description of the API says what the API does, and the API does what it says."""

import re

import pytest
from starlette.testclient import TestClient

from cervix.api import PREFIX
from cervix.api.routes import OPERATIONS
from cervix.interop.exports import EXPORTS
from cervix.settings import get_settings
from tests.api.conftest import PATIENTS, TOKEN, named
from tests.api.fuzzing import fuzz

EXAMPLES = 8


def test_every_operation_is_described_and_nothing_else_is(caller: TestClient) -> None:
    told = caller.get("/api/v1/openapi.json").json()
    assert told["openapi"].startswith("3.1")
    described = {(method.upper(), path) for path, methods in told["paths"].items() for method in methods}
    assert described == {(operation.method, PREFIX + operation.path) for operation in OPERATIONS}
    assert len({operation.name for operation in OPERATIONS}) == len(OPERATIONS)
    assert told["components"]["securitySchemes"]["token"] == {"type": "http", "scheme": "bearer"}


def test_no_name_of_a_file_is_part_of_an_address(caller: TestClient) -> None:
    told = caller.get("/api/v1/openapi.json").json()["paths"]
    placed = {one["name"]: one["in"] for methods in told.values() for of in methods.values() for one in of["parameters"]}
    assert placed["Upload-Name"] == "header"
    assert {name for name, place in placed.items() if place == "query"} == {
        "spacing", "everywhere", "despite_quality", "dates", "minus", "strict", "model", "export",
    }  # fmt: skip
    assert {name for name, place in placed.items() if place == "path"} == {"job"}


def test_the_description_comes_from_the_lists_and_models_of_the_library(caller: TestClient) -> None:
    told = caller.get("/api/v1/openapi.json").json()
    result = told["paths"]["/api/v1/jobs/{job}/result"]["get"]
    (export,) = [one for one in result["parameters"] if one["name"] == "export"]
    assert set(EXPORTS) <= set(export["schema"]["enum"])
    assert {one.media_type for one in EXPORTS.values()} <= set(result["responses"]["200"]["content"])
    references = set(re.findall(r"#/components/schemas/(\w+)", str(told)))
    assert references <= set(told["components"]["schemas"])
    assert {"JobTold", "NamedSlide", "PatientsResult", "Refusal", "SlideResult", "SlideSummary"} <= references
    spacing = told["paths"]["/api/v1/slides"]["post"]["parameters"][0]["schema"]
    assert (spacing["type"], spacing["minimum"] > 0) == ("number", True)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of what schemathesis brings
def test_whatever_is_thrown_at_it_is_answered_as_described(caller: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CERVIX_API_OPEN", "true")
    get_settings.cache_clear()
    answer = caller.post(PATIENTS, content=b"patient_id,visit_date,age,cytology\na,2020-05-01,30,NILM\n",
                         headers={"Content-Type": "text/csv"})  # fmt: skip
    jobs = [named(caller)["id"], answer.json()["job"]]
    seen = fuzz(TOKEN, examples=EXAMPLES, start=25, jobs=jobs)
    assert seen.total() > 8 * EXAMPLES
    assert {label.rsplit(" ", 1)[1] for label in seen} >= {"200", "404", "422"}
