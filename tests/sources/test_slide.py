"""Any file a user may drop is either read rightly or refused in one sentence."""

from pathlib import Path

import numpy as np
import openslide
import pytest
import tifffile
from PIL import Image

from cervix.errors import SlideNotReadable, SlideNotSuitable, SlideScaleUnknown
from cervix.files import sha256_of
from cervix.slides.phantom import phantom_region
from cervix.slides.pyramid import write_pyramid
from cervix.sources import handles, opening
from cervix.sources import slide as slides
from cervix.sources.opening import open_slide
from cervix.sources.readers.pictures import MAX_PLAIN_PIXELS


def test_a_real_slide_states_its_size_scale_and_hash(data_dir: Path) -> None:
    path = data_dir / "slides/CMU-1-Small-Region.svs"
    slide = open_slide(path)
    assert (slide.width_l0_px, slide.height_l0_px) == (2220, 2967)
    assert slide.spacing_um_px == pytest.approx(0.499)
    assert slide.spacing_source == "file"
    assert slide.magnification == 20
    assert slide.sha256 == sha256_of(path)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("cmu_truncated_50pct.svs", "not a slide that can be read.*a copy was cut short"),
        ("text_renamed.svs", "not a slide that can be read.*a text file"),
        ("zero_byte.svs", "The file is empty.*0 bytes"),
        ("unsupported_compression.tiff", "cannot be opened.*Unsupported TIFF compression"),
    ],
)
def test_a_broken_file_is_refused_with_what_was_expected_and_found(data_dir: Path, name: str, sentence: str) -> None:
    with pytest.raises(SlideNotReadable, match=sentence) as refusal:
        open_slide(data_dir / "slides/broken" / name)
    assert "\n" not in str(refusal.value)


def test_a_slide_that_opens_and_then_fails_names_the_place(data_dir: Path) -> None:
    slide = open_slide(data_dir / "slides/broken/opens_but_unreadable.svs")
    with pytest.raises(SlideNotReadable, match="opened but cannot be read at x 0, y 0"):
        slide.read(0, 0, 0, 16, 16)


def test_a_png_with_a_slide_suffix_is_read_as_png_and_says_so(data_dir: Path) -> None:
    slide = open_slide(data_dir / "slides/broken/png_renamed.svs", spacing_um_px=0.5)
    assert any("PNG although its name ends in .svs" in notice for notice in slide.notices)
    assert (slide.width_l0_px, slide.height_l0_px) == (300, 250)


def test_screen_resolution_is_not_taken_for_a_microscope_scale(data_dir: Path) -> None:
    slide = open_slide(data_dir / "slides/odd/boxes_4_levels.tiff")
    assert slide.spacing_um_px is None
    assert any("352.8" in notice for notice in slide.notices)


def test_an_unknown_scale_is_asked_for_never_guessed(unscaled_slide: Path) -> None:
    slide = open_slide(unscaled_slide)
    with pytest.raises(SlideScaleUnknown, match="does not state its scale.*Give micrometres per pixel"):
        _ = slide.known_spacing_um_px
    told = slide.with_spacing(0.25)
    assert (told.known_spacing_um_px, told.spacing_source) == (0.25, "user")


@pytest.mark.parametrize("spacing", [0.0, -1.0, 352.8, float("nan")])
def test_an_implausible_scale_from_the_user_is_refused(unscaled_slide: Path, spacing: float) -> None:
    with pytest.raises(SlideNotSuitable, match=r"expected 0\.05 to 10\.0 µm per pixel"):
        open_slide(unscaled_slide, spacing_um_px=spacing)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SlideNotReadable, match="no such slide file"):
        open_slide(tmp_path / "nowhere.svs")


@pytest.mark.parametrize(
    ("mode", "dtype", "found"),
    [("L", np.uint8, "greyscale"), ("I;16", np.uint16, "16 or more bits"), ("1", np.bool_, "black and white")],
)
def test_a_picture_without_8_bit_colour_is_refused(tmp_path: Path, mode: str, dtype: type, found: str) -> None:
    path = tmp_path / "picture.png"
    Image.fromarray(np.zeros((300, 300), dtype)).save(path)
    with Image.open(path) as image:
        assert image.mode == mode
    with pytest.raises(SlideNotSuitable, match=f"expected RGB with 8 bits per channel; found .*{found}"):
        open_slide(path)


def test_transparency_is_laid_over_white(tmp_path: Path) -> None:
    path = tmp_path / "transparent.png"
    pixels = np.zeros((300, 300, 4), np.uint8)
    pixels[:150] = (200, 30, 120, 255)
    Image.fromarray(pixels).save(path)
    slide = open_slide(path, spacing_um_px=0.5)
    assert slide.read(0, 0, 0, 1, 1).getpixel((0, 0)) == (200, 30, 120)
    assert slide.read(0, 200, 0, 1, 1).getpixel((0, 0)) == (255, 255, 255)
    assert any("over white" in notice for notice in slide.notices)


def test_a_photo_is_turned_upright_by_its_exif(tmp_path: Path) -> None:
    path = tmp_path / "turned.jpg"
    image = Image.fromarray(phantom_region(400, 300, seed=1))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(path, exif=exif)
    assert open_slide(path).file.dimensions == (300, 400)


def test_a_truncated_picture_is_refused(tmp_path: Path) -> None:
    whole = tmp_path / "whole.png"
    Image.fromarray(phantom_region(400, 300, seed=1)).save(whole)
    cut = tmp_path / "cut.png"
    cut.write_bytes(whole.read_bytes()[:20_000])
    with pytest.raises(SlideNotReadable, match="ends before its last row"):
        open_slide(cut)


def test_a_picture_too_large_to_hold_is_refused_by_its_header(tmp_path: Path) -> None:
    path = tmp_path / "huge.png"
    edge = int(MAX_PLAIN_PIXELS**0.5) + 100
    Image.new("1", (edge, edge)).save(path)
    with pytest.raises(SlideNotSuitable, match="too large to be read whole"):
        open_slide(path)


def test_the_overview_of_a_slide_without_pyramid_shows_every_corner(data_dir: Path) -> None:
    slide = open_slide(data_dir / "slides/CMU-1-Small-Region.svs")
    overview, scale = slide.overview(6.4)
    assert scale == 6.0
    assert overview.width * scale == pytest.approx(slide.width_l0_px, abs=scale)
    factor = round(scale)
    rows, columns = slide.height_l0_px // factor, slide.width_l0_px // factor
    whole = slide.read(0, 0, 0, columns * factor, rows * factor).reduce(factor)
    assert np.abs(np.asarray(whole, float) - np.asarray(overview, float)[:rows, :columns]).max() <= 1.0


@pytest.fixture
def damaged_slide(phantom_slide: Path, tmp_path: Path) -> Path:
    """A pyramid with one level-0 tile overwritten with zeros, in the middle of tissue."""
    path = tmp_path / "damaged.tiff"
    content = bytearray(phantom_slide.read_bytes())
    with tifffile.TiffFile(phantom_slide) as tiff:
        page = tiff.pages[0]
        start, size = page.dataoffsets[8], page.databytecounts[8]
    content[start : start + size] = bytes(size)
    path.write_bytes(content)
    return path


def test_one_damaged_tile_does_not_end_the_rest_of_the_slide(damaged_slide: Path) -> None:
    slide = open_slide(damaged_slide)
    whole = np.asarray(slide.read(0, 600, 0, 200, 200))
    with pytest.raises(SlideNotReadable, match="opened but cannot be read at"):
        slide.read(0, 0, 0, slide.width_l0_px, slide.height_l0_px)
    assert (np.asarray(slide.read(0, 600, 0, 200, 200)) == whole).all()


def test_what_a_file_states_outlasts_a_read_that_broke_its_handle(damaged_slide: Path) -> None:
    slide = open_slide(damaged_slide)
    stated, size = slide.stored_tile_px(0), slide.file.dimensions
    with pytest.raises(openslide.OpenSlideError):
        slide.file._handle.read_region((0, 0), 0, size)  # type: ignore[union-attr]  # another reader's, not yet replaced
    assert (slide.stored_tile_px(0), slide.file.dimensions) == (stated, size)


def test_a_level_is_chosen_that_is_at_least_as_fine_as_asked_for(phantom_slide: Path) -> None:
    slide = open_slide(phantom_slide)
    assert [slide.best_level(downsample) for downsample in (0.5, 1.0, 1.9, 2.0, 3.9, 100.0)] == [0, 0, 0, 1, 1, 2]


def test_a_region_of_any_size_is_read_reduced(data_dir: Path) -> None:
    slide = open_slide(data_dir / "slides/CMU-1-Small-Region.svs")
    reduced, downsample = slide.read_reduced(100, 200, 2000, 2400, 10)
    assert downsample == 10
    true = slide.read(100, 200, 0, 2000, 2400).reduce(10)
    assert np.abs(np.asarray(reduced, float) - np.asarray(true, float)).max() <= 1.0


def test_pictures_that_are_open_are_held_up_to_so_many_bytes_and_decoded_again_when_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handles, "_handles", handles._OpenHandles(limit=32, limit_bytes=2 * 400 * 300 * 4))
    slides, pictures = [], []
    for number in range(5):
        pixels = phantom_region(400, 300, seed=number)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        slides.append(open_slide(tmp_path / f"{number}.png"))
        pictures.append(pixels)
    assert [slide.file._handle is not None for slide in slides] == [False, False, False, True, True]
    for slide, pixels in zip(slides, pictures, strict=True):
        np.testing.assert_array_equal(np.asarray(slide.read(100, 50, 0, 80, 60)), pixels[50:110, 100:180])
    assert sum(slide.file._handle is not None for slide in slides) == 2


def test_a_picture_that_was_let_go_and_is_deleted_is_said_to_be(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    Image.fromarray(phantom_region(300, 250, seed=1)).save(path)
    slide = open_slide(path)
    slide.file.let_go()
    path.unlink()
    with pytest.raises(SlideNotReadable, match="no longer where it was"):
        slide.read(0, 0, 0, 10, 10)


def test_a_very_wide_slide_is_read_in_blocks_and_looks_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "wide.tiff"
    write_pyramid(path, phantom_region(1000, 300, seed=3), 0.5)
    whole, scale = open_slide(path).read_reduced(10, 20, 900, 250, 3.0)
    monkeypatch.setattr(slides, "BLOCK_COLUMNS", 100)
    monkeypatch.setattr(slides, "BLOCK_ROWS", 50)
    assert open_slide(path).read_reduced(10, 20, 900, 250, 3.0) == (whole, scale)


def test_a_flat_slide_that_no_overview_can_be_read_of_is_refused(phantom_slide: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "FLAT_AREA_PX_AT_MOST", 1000)
    with pytest.raises(SlideNotSuitable, match="without a pyramid"):
        open_slide(phantom_slide)
