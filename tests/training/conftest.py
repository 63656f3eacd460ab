"""Trainings start from real weights and rehearsals: here the bundle is the one that ships."""

import pytest

from cervix.bundle import Bundle


@pytest.fixture(scope="session")
def bundle(shipped_bundle: Bundle) -> Bundle:
    """The committed bundle, proved, on the CPU."""
    return shipped_bundle
