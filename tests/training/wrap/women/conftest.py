"""What several tests of wrapped models of women share."""

from pathlib import Path

import pytest

from cervix.bundle import Bundle
from cervix.patients.golden import prove_bundle
from tests.training.wrap.made import write_about
from tests.training.wrap.women.made import onnx_of_lightgbm, write_rows
from tests.training.wrap.women.visits import FILL, SUMMARIES, BroughtVisits, about_sequence
from training.wrap.women.women_model import wrap_women_model


@pytest.fixture(scope="session")
def brought_visits() -> BroughtVisits:
    return BroughtVisits()


@pytest.fixture(scope="session")
def wrapped_visits(brought_visits: BroughtVisits, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return wrap_visits(brought_visits, tmp_path_factory.mktemp("sequence"), ("validation", "test"))


@pytest.fixture(scope="session")
def unmeasured_visits(brought_visits: BroughtVisits, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Wrapped without test women."""
    return wrap_visits(brought_visits, tmp_path_factory.mktemp("unmeasured"), ("validation",))


def wrap_visits(brought_visits: BroughtVisits, folder: Path, splits: tuple[str, ...]) -> Bundle:
    outcomes = brought_visits.outcomes[brought_visits.outcomes["split"].isin(splits)]
    (folder / "model.onnx").write_bytes(onnx_of_lightgbm(brought_visits.booster, len(SUMMARIES)).SerializeToString())
    said = about_sequence(input__fill=None)
    said["input"]["fill"] = {f'"{name}"': FILL for name in SUMMARIES}
    files = write_rows(folder, brought_visits.table, outcomes)
    wrap_women_model(folder / "model.onnx", write_about(folder / "about.toml", said), *files, folder / "bundle", lambda _: None)
    return prove_bundle(folder / "bundle", device="cpu")
