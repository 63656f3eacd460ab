"""What a patient's slides say rests on the tiles that the tile model recognises, of all slides together."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cervix.bundle import Bundle, load_bundle
from tests.bundle.made import SHIPPED_CLASSES, write_tile_bundle
from tests.bundle.made.tiles import NOVELTY_LIMIT, SPACING_UM_PX, TILE_PX, centres_rgb
from tests.training.molecular_slide.test_fusion import COHORT
from training.data.tissue.slide_tiles import CutSlide, Cutting, tile_paths
from training.molecular_slide.slides import SlidesSay, score_slides
from training.shared.stages import Stages

CENTRES = {item.id: colour for item, colour in zip(SHIPPED_CLASSES, centres_rgb(SHIPPED_CLASSES), strict=True)}
AWAY = CENTRES["ac"] - CENTRES["scc"]
STRANGE = CENTRES["ac"] + AWAY / np.linalg.norm(AWAY) * (NOVELTY_LIMIT + 5)
"""Glandular for sure by its colour, and too far from it to be recognised."""


@pytest.fixture(scope="module")
def tile_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    root = tmp_path_factory.mktemp("tiles") / "bundle"
    return load_bundle(write_tile_bundle(root, SHIPPED_CLASSES, "slide"), device="cpu")


def cut(folder: Path, name: str, patient: str, *colours: np.ndarray) -> CutSlide:
    """A slide that was cut into tiles of these colours."""
    places = [(number * TILE_PX, 0) for number in range(len(colours))]
    slide = CutSlide(
        f"{name}.svs", "ac", patient, f"ac/{name}", Cutting(SPACING_UM_PX, TILE_PX, 10), [1, 1], places, len(places), {},
        "" if places else "No tissue",
    )  # fmt: skip
    (folder / slide.folder).mkdir(parents=True)
    for path, colour in zip(tile_paths(slide, folder), colours, strict=True):
        Image.new("RGB", (TILE_PX, TILE_PX), tuple(int(value) for value in colour)).save(path)
    return slide


def test_all_slides_of_a_patient_count_together_and_strange_tiles_do_not(tile_bundle: Bundle, tmp_path: Path) -> None:
    slides = [
        cut(tmp_path, "first", "P3", CENTRES["scc"], CENTRES["ac"], STRANGE),
        cut(tmp_path, "second", "P3", CENTRES["scc"], CENTRES["scc"]),
        cut(tmp_path, "glandular", "P5", CENTRES["ac"], CENTRES["ac"]),
        cut(tmp_path, "blank", "P7"),
    ]
    says: SlidesSay = score_slides(tile_bundle, slides, tmp_path, COHORT, Stages(tmp_path / "stages", print), print)
    assert says.slides[[3, 5, 7, 9]].tolist() == [2, 1, 1, 0]
    assert says.tiles[[3, 5, 7, 9]].tolist() == [5, 2, 0, 0]
    assert says.accepted[[3, 5, 7, 9]].tolist() == [4, 2, 0, 0]
    assert says.squamous[3] == pytest.approx(0.75, abs=0.01)
    assert says.glandular[3] == pytest.approx(0.25, abs=0.01)
    odds = says.log_odds(accepted_at_least=2)
    assert odds[3] == pytest.approx(-np.log(3), abs=0.05)
    assert odds[5] > 5
    assert np.isnan(odds[[7, 9]]).all()
    assert np.isnan(says.log_odds(accepted_at_least=3)[5])
