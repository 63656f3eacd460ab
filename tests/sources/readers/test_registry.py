"""A new source of slides is a reader and a line in the registry: everything else finds it there."""

import json
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from cervix.bundle import Bundle
from cervix.errors import SlideNotReadable, TileNotReadable
from cervix.intake.inbox import list_inbox
from cervix.slides.phantom import phantom_region
from cervix.slides.scoring import plan_slide, score_slide
from cervix.sources.colour import Profile
from cervix.sources.examining import examine_slide
from cervix.sources.identity import slides_in
from cervix.sources.opening import open_slide
from cervix.sources.readers.reader import OpenedSlide
from cervix.sources.readers.registry import READERS, readable
from cervix.sources.scale import StatedScale
from cervix.sources.stated import stated, whole

SPACING_UM_PX = 0.5


class MadeHandle:
    """Pixels in memory as a pyramid of two levels; the place named broken cannot be read by this handle, nor any after it."""

    properties: ClassVar[dict[str, str]] = {}

    def __init__(self, pixels: NDArray[np.uint8], broken_x_l0_px: int | None = None) -> None:
        picture = Image.fromarray(pixels)
        self._levels = (picture, picture.reduce(4))
        self._broken_x_l0_px = broken_x_l0_px
        self._broken = False

    @property
    def dimensions(self) -> tuple[int, int]:
        return self._levels[0].size

    @property
    def level_dimensions(self) -> tuple[tuple[int, int], ...]:
        return tuple(level.size for level in self._levels)

    @property
    def level_downsamples(self) -> tuple[float, ...]:
        return (1.0, 4.0)

    def read_region(self, location: tuple[int, int], level: int, size: tuple[int, int]) -> Image.Image:
        self._broken |= location[0] == self._broken_x_l0_px
        if self._broken:
            raise ConnectionError("the store went away")
        x, y = (round(place / self.level_downsamples[level]) for place in location)
        return self._levels[level].convert("RGBA").crop((x, y, x + size[0], y + size[1]))


class MadeSlides:
    """Files that name the pixels of a slide, as a file of another store might."""

    kinds = "a made slide"
    suffixes = (".made",)
    plain = False

    def matches(self, path: Path) -> bool:
        return path.read_bytes().startswith(b'{"made"')

    def open(self, path: Path) -> OpenedSlide:
        wanted = json.loads(path.read_bytes())["made"]
        pixels = phantom_region(wanted["width"], wanted["height"], seed=1)

        def handle() -> MadeHandle:
            return MadeHandle(pixels, wanted.get("broken_x"))

        scale = StatedScale(SPACING_UM_PX, SPACING_UM_PX, "")
        told = stated([scale], whole(*handle().dimensions), Profile(), ["It was made for a test."])
        return OpenedSlide(handle(), handle, told, vendor="made", magnification=20.0, broken_by=(ConnectionError,))


@pytest.fixture
def made_slide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A slide of a source that the project does not know, and the one line that makes it known."""
    monkeypatch.setattr("cervix.sources.readers.registry.READERS", [MadeSlides(), *READERS])
    path = tmp_path / "a.made"
    path.write_text(json.dumps({"made": {"width": 1000, "height": 800}}), encoding="utf-8")
    return path


def test_a_made_slide_opens_with_what_its_reader_states(made_slide: Path) -> None:
    slide = open_slide(made_slide)
    assert (slide.width_l0_px, slide.height_l0_px, slide.level_downsamples) == (1000, 800, (1.0, 4.0))
    assert (slide.vendor, slide.magnification, slide.spacing_um_px) == ("made", 20.0, SPACING_UM_PX)
    assert slide.notices == ["It was made for a test."]
    assert np.array_equal(slide.read_tile(100, 200, 0, 64, 64), phantom_region(1000, 800, seed=1)[200:264, 100:164])


def test_a_made_slide_is_scored_like_any(made_slide: Path, bundle: Bundle) -> None:
    slide = open_slide(made_slide)
    score = score_slide(slide, bundle)
    assert len(score.tiles) == len(plan_slide(slide, bundle).grid) > 0
    assert score.tiles["novelty"].notna().all()


def test_a_made_slide_is_listed_probed_and_named_among_the_kinds(made_slide: Path) -> None:
    assert slides_in(made_slide.parent) == [made_slide]
    assert [entry.path for entry in list_inbox([made_slide.parent])] == [made_slide]
    assert examine_slide(str(made_slide))["vendor"] == "made"
    made_slide.write_text("something else", encoding="utf-8")
    with pytest.raises(SlideNotReadable, match="expected a made slide or a whole-slide image"):
        open_slide(made_slide)


def test_a_handle_that_a_read_broke_is_replaced(made_slide: Path) -> None:
    made_slide.write_text(json.dumps({"made": {"width": 1000, "height": 800, "broken_x": 640}}), encoding="utf-8")
    slide = open_slide(made_slide)
    before = slide.read_tile(0, 0, 0, 64, 64)
    with pytest.raises(TileNotReadable, match="the store went away"):
        slide.read_tile(640, 0, 0, 64, 64)
    assert np.array_equal(slide.read_tile(0, 0, 0, 64, 64), before)


@pytest.mark.parametrize("name", ["cmu_truncated_50pct.svs", "text_renamed.svs"])
def test_what_no_reader_takes_is_refused_with_all_that_they_take(data_dir: Path, name: str) -> None:
    with pytest.raises(SlideNotReadable) as refused:
        open_slide(data_dir / "slides/broken" / name)
    assert refused.value.expected == readable() == (
        "a whole-slide image (SVS, NDPI, SCN, BIF, CZI, MRXS, DICOM, tiled TIFF) or an RGB PNG, JPEG or TIFF"
    )  # fmt: skip
