"""A model from elsewhere, wrapped: a bundle that proves itself, scores a slide, fills the card and can be measured."""

from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import numpy_helper
from PIL import Image
from scipy.special import softmax

from cervix.bundle import Bundle
from cervix.bundle.manifest import UNEVALUATED
from cervix.bundle.sessions import CPU_PROVIDER, open_session
from cervix.card.markdown import model_card
from cervix.evaluation.questions import task_scores
from cervix.patients.golden import prove_bundle
from cervix.slides.pyramid import write_pyramid
from cervix.slides.scoring import score_slide
from cervix.sources.opening import open_slide
from tests.bundle.made import FOUR
from tests.bundle.made.tiles import centres_rgb, tissue_of
from tests.training.wrap.made import SIZE_PX, about, write_about, write_model, write_tiles
from training.slide.variants import VariantRefused
from training.wrap.entry import NOT_SEEN
from training.wrap.refusal import WrapRefused
from training.wrap.tile_model import wrap_tile_model

pytestmark = pytest.mark.training


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, its description and its tiles as somebody brings them."""
    place = tmp_path_factory.mktemp("brought")
    write_model(place / "model.onnx")
    write_tiles(place / "tiles")
    return place


@pytest.fixture(scope="module")
def wrapped_root(folder: Path) -> Path:
    """The bundle's folder, with all three precisions."""
    said = about(fit__variants=["int8", "fp16"])
    description = write_about(folder / "about.toml", said)
    wrap_tile_model(folder / "model.onnx", description, folder / "tiles/tiles.csv", folder / "bundle", lambda _: None)
    return folder / "bundle"


@pytest.fixture(scope="module")
def wrapped(wrapped_root: Path) -> Bundle:
    """The same, proved."""
    return prove_bundle(wrapped_root, device="cpu")


def test_the_bundle_says_what_its_owner_said_and_what_was_not_checked(wrapped: Bundle) -> None:
    model = wrapped.manifest.first_of("tile")
    assert (wrapped.manifest.name, wrapped.manifest.version) == ("elsewhere", "1.0.0")
    assert model.class_ids == [item.id for item in FOUR]
    assert model.limits == ["Knows nothing of medicine."]
    assert [variant.precision for variant in model.variants] == ["int8", "fp32", "fp16"]
    assert wrapped.session(model.id).variant.precision == model.measured.precision == "int8"
    assert NOT_SEEN in model.measured.notes
    assert model.tiles is not None
    assert model.tiles.steps_in_graph == ["divide by 255", "put channels first"]
    stated, held_out = model.training_data
    assert stated.counts == {}
    assert held_out.groups == {"validation": 20, "test": 20}


def test_held_out_predictions_are_of_test_tiles_and_name_nobody(wrapped: Bundle, wrapped_root: Path, folder: Path) -> None:
    model = wrapped.manifest.first_of("tile")
    frame = pd.read_parquet(wrapped_root / model.measured.predictions)
    table = pd.read_csv(folder / "tiles/tiles.csv")
    rows = table.index[table["split"] == "test"]
    assert frame["case"].tolist() == [f"row {row + 2}" for row in rows]
    assert frame["label"].tolist() == table.loc[rows, "label"].tolist()
    assert frame["group"].str.fullmatch(r"group of row \d+").all()
    assert task_scores(frame, model.cancer_task).auroc().value > 0.9
    assert not any("test-" in str(value) for value in frame["group"])


def test_probabilities_are_those_of_the_model_at_the_fitted_temperature(
    wrapped: Bundle, wrapped_root: Path, folder: Path
) -> None:
    model = wrapped.manifest.first_of("tile")
    with Image.open(folder / "tiles/1.png") as opened:
        tile = np.asarray(opened.convert("RGB"))[None]
    own = open_session((folder / "model.onnx").read_bytes(), CPU_PROVIDER)
    (logits,) = own.run(["logits"], {"pixels": np.ascontiguousarray((tile / 255).transpose(0, 3, 1, 2), np.float32)})
    session = open_session((wrapped_root / f"{model.id}/fp32.onnx").read_bytes(), CPU_PROVIDER)
    (told,) = session.run(["probabilities"], {"tiles": tile})
    temperature = model.calibration.parameters["temperature"]
    np.testing.assert_allclose(told, softmax(logits / temperature, axis=1), atol=1e-4)


def test_the_novelty_limit_keeps_about_the_share_that_was_wanted(wrapped: Bundle, wrapped_root: Path) -> None:
    model = wrapped.manifest.first_of("tile")
    frame = pd.read_parquet(wrapped_root / model.measured.predictions)
    assert (frame["novelty"] <= model.abstention_limit("novelty")).mean() > 0.8
    table = pd.read_csv(wrapped_root / f"{model.id}/novelty.csv")
    assert "not histology (pictures and patterns)" in table["tiles"].tolist()


def test_a_slide_is_scored_with_it(wrapped: Bundle, tmp_path: Path) -> None:
    bands = [tissue_of(centre, 4 * SIZE_PX, 6 * SIZE_PX, seed=9) for centre in centres_rgb(FOUR)]
    write_pyramid(tmp_path / "slide.tiff", np.concatenate(bands, axis=1), 0.5)
    score = score_slide(open_slide(tmp_path / "slide.tiff"), wrapped)
    known = score.tiles[score.tiles["novelty"] <= wrapped.manifest.first_of("tile").abstention_limit("novelty")]
    assert len(known) > 20
    assert known[[f"p_{item.id}" for item in FOUR]].sum(axis=1).to_numpy() == pytest.approx(1.0, abs=0.02)


def test_the_card_has_its_words_and_its_figures(wrapped: Bundle) -> None:
    card = model_card(wrapped)
    for words in ("Colours of tiles", "Knows nothing of medicine.", "Drawn tiles", "Malignant or not", NOT_SEEN):
        assert words in card


def test_without_test_tiles_the_bundle_is_unevaluated_and_fitted_as_it_would_be_with_them(
    wrapped: Bundle, folder: Path, tmp_path: Path
) -> None:
    table = pd.read_csv(folder / "tiles/tiles.csv")
    table[table["split"] == "validation"].to_csv(folder / "tiles/validation.csv", index=False)
    description, said = write_about(tmp_path / "about.toml", about()), list[str]()
    wrap_tile_model(folder / "model.onnx", description, folder / "tiles/validation.csv", tmp_path / "out", said.append)
    bare, full = prove_bundle(tmp_path / "out", device="cpu").manifest.first_of("tile"), wrapped.manifest.first_of("tile")
    assert not bare.is_evaluated
    assert bare.limits == [f"{UNEVALUATED} {full.limits[0]}"]
    assert sum(UNEVALUATED in line for line in said) == 1
    assert (bare.calibration, bare.abstention) == (full.calibration, full.abstention)
    assert bare.slide_rule is not None
    assert full.slide_rule is not None
    assert bare.slide_rule.minimum_tiles == full.slide_rule.minimum_tiles
    assert all("validation tiles" in threshold.chosen_by for threshold in bare.thresholds)
    assert bare.training_data[-1].groups == {"validation": 20}
    assert "measure" not in bare.training_data[-1].note

    description = write_about(tmp_path / "about.toml", about(fit__variants=["int8"]))
    with pytest.raises(WrapRefused, match="cannot be held against fp32.*int8 wanted, and no test tiles"):
        wrap_tile_model(folder / "model.onnx", description, folder / "tiles/validation.csv", tmp_path / "more", lambda _: None)


def test_a_variant_that_answers_otherwise_is_refused(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    description = write_about(tmp_path / "about.toml", about(fit__variants=["int8"]))
    monkeypatch.setattr("training.wrap.variants.to_int8", upside_down)
    with pytest.raises(VariantRefused, match="agreement with fp32 of at least 99"):
        wrap_tile_model(folder / "model.onnx", description, folder / "tiles/tiles.csv", tmp_path / "out", lambda _: None)
    assert not (tmp_path / "out").exists()


def upside_down(model: onnx.ModelProto, _: object) -> bytes:
    """The same graph with its logits the other way round: what a conversion that went wrong may give."""
    turned = onnx.ModelProto.FromString(model.SerializeToString())
    weight = next(tensor for tensor in turned.graph.initializer if tensor.name == "calibration/weight")
    weight.CopyFrom(numpy_helper.from_array(-numpy_helper.to_array(weight), weight.name))
    return turned.SerializeToString()
