"""What a file states is used or said: scale, colours and depth, profiles, turns, further pages, missing tiles."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from cervix.errors import SlideNotSuitable, SlideScaleUnknown
from cervix.slides.phantom import phantom_region
from cervix.sources.opening import open_slide
from tests.sources.test_colour import swapped_profile

TILED = {"tile": (256, 256), "compression": "zlib", "metadata": None}
PIXELS = phantom_region(600, 500, seed=3)
NOT_COLOUR = r"not an H&E colour image: expected RGB with 8 bits per channel; found .*"


@pytest.mark.parametrize(
    ("name", "source"), [("ome_subifd_xmlonly.ome.tif", "file (OME-XML)"), ("plain.jpg", "file (JFIF density)")]
)
def test_the_scale_is_read_where_the_file_states_it(cases_dir: Path, name: str, source: str) -> None:
    slide = open_slide(cases_dir / "slides" / name)
    assert (slide.known_spacing_um_px, slide.spacing_source) == (pytest.approx(0.5), source)
    assert any("scale was read from the file: 0.5 µm per pixel" in notice for notice in slide.notices)


@pytest.mark.parametrize("tiling", [{}, {"tile": (256, 256)}])
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_tiff_tags_are_read_with_tiles_and_without(tmp_path: Path, tiling: dict, byteorder: str) -> None:
    path = tmp_path / "scale.tif"
    tifffile.imwrite(
        path, PIXELS, photometric="rgb", resolution=(20_000, 20_000), resolutionunit="CENTIMETER", byteorder=byteorder,
        metadata=None, **tiling,
    )  # fmt: skip
    assert open_slide(path).known_spacing_um_px == pytest.approx(0.5)


def test_png_states_its_scale_and_a_screen_s_72_dpi_is_named_not_used(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "scale.png", dpi=(50_800, 50_800))
    assert open_slide(tmp_path / "scale.png").spacing_source == "file (PNG pHYs)"
    Image.fromarray(PIXELS).save(tmp_path / "screen.jpg", dpi=(72, 72))
    slide = open_slide(tmp_path / "screen.jpg")
    with pytest.raises(SlideScaleUnknown, match=r"found 352\.8 µm per pixel \(JFIF density\), which is not plausible"):
        _ = slide.known_spacing_um_px


def test_ome_xml_wins_over_tags_that_say_otherwise_and_both_are_said(tmp_path: Path) -> None:
    path = tmp_path / "two.ome.tif"
    tifffile.imwrite(
        path, PIXELS, photometric="rgb", tile=(256, 256), resolution=(10_000, 10_000), resolutionunit="CENTIMETER",
        metadata={"axes": "YXS", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25},
    )  # fmt: skip
    slide = open_slide(path)
    assert (slide.spacing_um_px, slide.spacing_source) == (0.25, "file (OME-XML)")
    assert any("also states 1 µm per pixel" in notice for notice in slide.notices)


@pytest.mark.parametrize(
    ("name", "found"),
    [("grey8.tif", "greyscale, 8 bits"), ("grey16.tif", "greyscale, 16 bits"), ("cmyk.jpg", "CMYK")],
)
def test_what_is_not_8_bit_colour_is_refused_with_what_it_is(cases_dir: Path, name: str, found: str) -> None:
    with pytest.raises(SlideNotSuitable, match=NOT_COLOUR + found):
        open_slide(cases_dir / "slides" / name)


@pytest.mark.parametrize("options", [{"metadata": None}, TILED], ids=["plain", "tiled"])
@pytest.mark.parametrize(
    ("pixels", "photometric", "found"),
    [
        (PIXELS[..., 0], "minisblack", "greyscale, 8 bits"),
        (PIXELS[..., 0], "miniswhite", "greyscale, 8 bits"),
        (PIXELS.astype(np.uint16) * 257, "rgb", "RGB, 16 bits"),
        (PIXELS.astype(np.float32) / 255, "rgb", "RGB, floating point of 32 bits"),
        (np.dstack([PIXELS, PIXELS[..., 0]]), "separated", "CMYK, 8 bits"),
        (np.moveaxis(PIXELS, 2, 0).astype(np.uint16), "minisblack", "greyscale, 16 bits"),
        (PIXELS[..., 0].astype(np.int16), "minisblack", "greyscale, signed 16 bits"),
    ],
)  # fmt: skip
def test_one_rule_holds_for_plain_and_tiled_pictures(
    tmp_path: Path, options: dict, pixels: np.ndarray, photometric: str, found: str
) -> None:
    path = tmp_path / "odd.tif"
    tifffile.imwrite(path, pixels, photometric=photometric, **options)
    with pytest.raises(SlideNotSuitable, match=NOT_COLOUR + found):
        open_slide(path)


def test_a_png_of_16_bits_is_refused(tmp_path: Path) -> None:
    rows = b"".join(b"\0" + bytes(300 * 6) for _ in range(300))
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 300, 300, 16, 2, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    parts = [struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks]
    (tmp_path / "deep.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    with pytest.raises(SlideNotSuitable, match=NOT_COLOUR + "16 bits"):
        open_slide(tmp_path / "deep.png")


@pytest.mark.parametrize("edge", [9_500, 20_000])
def test_a_picture_too_large_is_advised_alike_below_and_beyond_pillow_s_limit(tmp_path: Path, edge: int) -> None:
    Image.new("1", (edge, edge)).save(tmp_path / "huge.png")
    with pytest.raises(SlideNotSuitable, match=r"too large to be read whole.*found .*tiled, pyramidal TIFF"):
        open_slide(tmp_path / "huge.png")


@pytest.mark.parametrize("name", ["profile.tif", "profile.jpg", "profile.png"])
def test_a_colour_profile_is_applied_and_said(tmp_path: Path, name: str) -> None:
    pixels = np.full((300, 300, 3), (200, 30, 120), np.uint8)
    if name.endswith("tif"):
        tifffile.imwrite(tmp_path / name, pixels, photometric="rgb", iccprofile=swapped_profile(), **TILED)
    else:
        Image.fromarray(pixels).save(tmp_path / name, icc_profile=swapped_profile())
    slide = open_slide(tmp_path / name)
    assert any("to sRGB" in notice for notice in slide.notices)
    assert np.abs(slide.read_tile(20, 20, 0, 64, 64).astype(int) - (120, 30, 200)).max() <= 6
    assert np.abs(np.asarray(slide.overview(2)[0], int) - (120, 30, 200)).max() <= 6


def test_a_turned_photograph_says_so_and_its_scale_turns_with_it(tmp_path: Path) -> None:
    image = Image.fromarray(PIXELS)
    exif = image.getexif()
    exif[0x0112], exif[0x011A], exif[0x011B], exif[0x0128] = 6, 20_000.0, 40_000.0, 3
    image.save(tmp_path / "turned.jpg", exif=exif)
    slide = open_slide(tmp_path / "turned.jpg")
    assert any("turned upright, as its EXIF says" in notice for notice in slide.notices)
    assert any("0.25 µm wide and 0.5 µm high" in notice for notice in slide.notices)
    assert slide.file.dimensions == (500, 600)


@pytest.mark.parametrize("options", [{"metadata": None}, TILED], ids=["plain", "tiled"])
def test_further_pages_are_said(tmp_path: Path, options: dict) -> None:
    with tifffile.TiffWriter(tmp_path / "pages.tif") as writer:
        for _ in range(3):
            writer.write(PIXELS, photometric="rgb", **options)
    assert any("holds 3 pages" in notice for notice in open_slide(tmp_path / "pages.tif").notices)


def test_an_animated_png_is_its_first_picture(tmp_path: Path) -> None:
    first = Image.fromarray(PIXELS)
    first.save(tmp_path / "moving.png", save_all=True, append_images=[Image.fromarray(PIXELS[::-1].copy())])
    assert any("holds 2 pages" in notice for notice in open_slide(tmp_path / "moving.png").notices)


def test_a_pyramid_has_no_further_pages(phantom_slide: Path) -> None:
    assert open_slide(phantom_slide).notices == []


def test_missing_tiles_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "sparse.tif"
    tifffile.imwrite(path, PIXELS, photometric="rgb", **TILED)
    with tifffile.TiffFile(path, mode="r+") as opened:
        counts = list(opened.pages[0].databytecounts)
        opened.pages[0].tags["TileByteCounts"].overwrite([0, *counts[1:]])
    assert any("1 of 6 tiles are missing" in notice for notice in open_slide(path).notices)
