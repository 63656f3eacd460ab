"""The manifest says which organs, laboratories and tissue the slide model learned from, by its training tiles alone."""

from pathlib import Path

import numpy as np
import pytest

from cervix.bundle.manifest import Model, SlideRule, Variant
from tests.training.recipes import without_pixels
from training.cli import RECIPES_DIR
from training.data.tissue.sources import APART, SourceTiles, tiles_of_recipe
from training.shared.declared import read_recipe
from training.slide.drawn import tiles
from training.slide.drawn.tiles import DRAWN, with_drawn
from training.slide.entry import SlideFigures, learned_organs, slide_entry
from training.slide.export import GOLDEN_TOLERANCE

RECIPE = RECIPES_DIR / "shipped.toml"


@pytest.fixture(scope="module")
def real(data_dir: Path) -> tuple[SourceTiles, np.ndarray]:
    with without_pixels():
        found, assigned = tiles_of_recipe(RECIPE, read_recipe(RECIPE), data_dir / "tiles")
    return found.of(np.flatnonzero(assigned != APART)), assigned[assigned != APART]


def entry(known: SourceTiles, assigned: np.ndarray) -> Model:
    return slide_entry(
        SlideFigures(
            recipe=read_recipe(RECIPE), classes=["benign", "scc", "ac", "other"], known=known, assigned=assigned,
            network_weight=0.7, texture_weight=0.4, novelty_limit=31.0, accepted=0.9, flagged=0.9,
            variants=[Variant(precision="int8", file="slide/int8.onnx", runs_on="cpu", tolerance=GOLDEN_TOLERANCE["int8"])],
            slide_rule=SlideRule(minimum_tiles=8, false_positive_share=0.1, novel_share_limit=0.5, chosen_by="judgement"),
            opset=18,
        )
    )  # fmt: skip


@pytest.fixture(scope="module")
def model(real: tuple[SourceTiles, np.ndarray]) -> Model:
    return entry(*real)


def test_every_source_names_its_laboratory_and_the_organs_and_types_of_tissue_of_its_training_tiles(model: Model) -> None:
    by_name = {data.name: data for data in model.training_data}
    assert by_name["LC25000, lung part"].organs == ["lung"]
    assert by_name["LC25000, lung part"].tissue_types == ["adenocarcinoma", "lung", "squamous carcinoma"]
    assert by_name["EBHI-Seg, colon and rectum"].organs == ["colon", "rectum"]
    assert by_name["ImageNet weights of VGG16"].organs == by_name["ImageNet weights of VGG16"].tissue_types == []
    assert model.laboratories == ["LC25000", "Rahman", "EBHI", "Sun", "BreCaHAD", "UT Southwestern", "NuInsSeg"]
    assert model.organs[:7] == ["lung", "colon", "oral cavity", "rectum", "endometrium", "breast", "bone"]
    assert not any("mouse" in organ or "/" in organ for organ in model.organs)


def test_an_organ_of_which_only_test_tiles_are_there_was_not_learned_from(real: tuple[SourceTiles, np.ndarray]) -> None:
    known, assigned = real
    learned = entry(known, np.where(known.organ == "tonsil", "test", assigned)).organs
    assert "tonsil" not in learned
    assert "oesophagus" in entry(known, np.where(known.organ == "oesophagus", "train", assigned)).organs
    assert set(known.organ) - {"colon and rectum"} >= set(learned) - {"colon", "rectum"}


def test_the_first_limit_counts_organs_and_laboratories_and_says_that_cervix_is_not_among_them(model: Model) -> None:
    assert model.limits[0] == (
        f"Learned from {len(model.organs)} organs in 7 laboratories, with carcinoma of lung, colon, oral cavity, rectum, "
        "endometrium, breast. Cervix is not among them. Not for any clinical question."
    )
    assert "squamous-cell carcinoma of lung, oral cavity from 2 laboratories" in " ".join(model.known_failures)


def test_cervical_tiles_are_named_as_soon_as_there_are_some(real: tuple[SourceTiles, np.ndarray]) -> None:
    known, assigned = real
    sources = [source.model_copy(update={"organs": ["Cervix uteri"]}) if source.organs else source for source in known.sources]
    changed = SourceTiles(**{**vars(known), "sources": sources})
    assert "Cervix uteri" in learned_organs(changed, assigned == "train")
    model = entry(changed, assigned)
    assert "Cervix is among them." in model.limits[0]
    assert model.organs_seen.endswith("Cervix is among them.")


def test_drawn_tiles_are_of_no_organ_and_no_laboratory(
    real: tuple[SourceTiles, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiles, "drawn_tiles", lambda *_: np.zeros((2, 1, 1, 3), np.uint8))
    known, assigned = real
    together = entry(*with_drawn(known, assigned, {"drawn": {"tiles_per_class": 2}, "tiles": {"size_px": 224}, "seed": 3}))
    alone = entry(known, assigned)
    drawn = together.training_data[-2]
    assert (drawn.name, drawn.nature, drawn.organs, drawn.laboratory) == (DRAWN.title, "simulated", [], "")
    assert (together.organs, together.laboratories, together.tissue_types) == (
        alone.organs, alone.laboratories, alone.tissue_types,
    )  # fmt: skip
    assert together.limits == alone.limits
