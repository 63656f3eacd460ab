"""A small molecular model in a bundle of its own, proved."""

from pathlib import Path

import pytest

from cervix.bundle import ModelSession
from cervix.bundle.manifest import MarkerInput
from cervix.molecular.scoring import markers_of
from cervix.patients.golden import prove_bundle
from tests.bundle.made.tumours import MODEL_ID, write_molecular_bundle


@pytest.fixture(scope="session")
def molecular_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the bundle; nobody changes it."""
    return write_molecular_bundle(tmp_path_factory.mktemp("molecular") / "bundle")


@pytest.fixture(scope="session")
def session(molecular_root: Path) -> ModelSession:
    """Its model."""
    return prove_bundle(molecular_root, device="cpu").session(MODEL_ID)


@pytest.fixture(scope="session")
def markers(session: ModelSession) -> MarkerInput:
    """What it is fed."""
    return markers_of(session)
