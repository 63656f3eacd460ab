"""Fixtures of the patient tests: each risk-factor model in turn, and the generated table."""

import pytest

from cervix.bundle import Bundle, ModelSession
from cervix.patients.reading import PatientTable, read_patients
from cervix.patients.sample import sample_table_csv


@pytest.fixture(params=["risk-factors", "risk-factors-with-tests"])
def session(request: pytest.FixtureRequest, bundle: Bundle) -> ModelSession:
    return bundle.session(request.param)


@pytest.fixture(scope="module")
def sample() -> PatientTable:
    return read_patients(sample_table_csv().encode(), strict=True)
