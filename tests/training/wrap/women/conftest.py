"""What several tests of wrapped models of women share."""

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
    folder = tmp_path_factory.mktemp("sequence")
    (folder / "model.onnx").write_bytes(onnx_of_lightgbm(brought_visits.booster, len(SUMMARIES)).SerializeToString())
    said = about_sequence(input__fill=None)
    said["input"]["fill"] = {f'"{name}"': FILL for name in SUMMARIES}
    files = write_rows(folder, brought_visits.table, brought_visits.outcomes)
    wrap_women_model(folder / "model.onnx", write_about(folder / "about.toml", said), *files, folder / "bundle", lambda _: None)
    return prove_bundle(folder / "bundle", device="cpu")
