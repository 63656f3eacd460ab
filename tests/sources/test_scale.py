"""A scale is read wherever a file states it, in whatever unit, and never taken for more than it says."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from cervix.sources.scale import StatedScale, imagej_scale, ome_scale, picture_scales
from cervix.sources.tiff_header import read_pages

NAMESPACE = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
OME = f'<OME xmlns="{NAMESPACE}"><Image ID="Image:0"><Pixels {{}} SizeX="300" SizeY="200"/></Image></OME>'
PICTURE = np.zeros((200, 300, 3), np.uint8)


@pytest.mark.parametrize(
    ("attributes", "sides"),
    [
        ('PhysicalSizeX="0.5" PhysicalSizeY="0.25"', (0.5, 0.25)),  # µm is the schema's default
        ('PhysicalSizeX="500" PhysicalSizeXUnit="nm" PhysicalSizeY="250" PhysicalSizeYUnit="nm"', (0.5, 0.25)),
        ('PhysicalSizeX="0.0005" PhysicalSizeXUnit="mm" PhysicalSizeY="0.5" PhysicalSizeYUnit="µm"', (0.5, 0.5)),
        ('PhysicalSizeX="1" PhysicalSizeXUnit="pixel" PhysicalSizeY="1" PhysicalSizeYUnit="pixel"', None),
        ('PhysicalSizeX="0" PhysicalSizeY="0.5"', None),
        ('PhysicalSizeX="inf" PhysicalSizeY="0.5"', None),
        ('PhysicalSizeX="0,5" PhysicalSizeY="0,5"', None),
        ("", None),
    ],
)
def test_ome_xml_states_a_length_in_a_unit(attributes: str, sides: tuple[float, float] | None) -> None:
    found = ome_scale(OME.format(attributes), 300, 200)
    assert [(scale.x_um_px, scale.y_um_px) for scale in found] == ([pytest.approx(sides)] if sides else [])


def test_of_several_ome_images_the_one_of_this_size_counts() -> None:
    small = '<Image><Pixels SizeX="10" SizeY="10" PhysicalSizeX="9" PhysicalSizeY="9"/></Image>'
    large = '<Image><Pixels SizeX="300" SizeY="200" PhysicalSizeX="0.5" PhysicalSizeY="0.5"/></Image>'
    assert [scale.x_um_px for scale in ome_scale(f"<OME>{small}{large}</OME>", 300, 200)] == [0.5]


@pytest.mark.parametrize("text", ["<OME", "", '<!DOCTYPE x [<!ENTITY a "aaaa">]><OME>&a;</OME>', "no xml"])
def test_what_is_not_ome_xml_states_nothing(text: str) -> None:
    assert ome_scale(text, 300, 200) == []


@pytest.mark.parametrize(
    ("unit", "um"), [("micron", 0.5), ("um", 0.5), ("\\u00B5m", 0.5), ("nm", 0.0005), ("pixel", None), ("", None)]
)
def test_imagej_names_its_unit(unit: str, um: float | None) -> None:
    found = imagej_scale(f"ImageJ=1.54\nunit={unit}\n", 2.0, 2.0)
    assert [scale.x_um_px for scale in found] == ([um] if um else [])


@pytest.mark.parametrize(
    ("unit", "per_unit", "um"),
    [("CENTIMETER", 20_000, 0.5), ("INCH", 50_800, 0.5), ("INCH", 72, 352.78), ("NONE", 20_000, None), ("CENTIMETER", 0, None)],
)
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_tiff_tags_state_pixels_per_length(tmp_path, unit: str, per_unit: int, um: float | None, byteorder: str) -> None:
    path = tmp_path / "picture.tif"
    tifffile.imwrite(
        path,
        PICTURE,
        photometric="rgb",
        resolution=(per_unit, per_unit),
        resolutionunit=unit,
        byteorder=byteorder,
        metadata=None,
    )
    found = read_pages(path)[0].scales
    assert [scale.x_um_px for scale in found] == ([pytest.approx(um, rel=1e-3)] if um else [])


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("a.png", {"dpi": (50_800, 50_800)}, (0.5, "PNG pHYs")),
        ("a.jpg", {"dpi": (50_800, 50_800)}, (0.5, "JFIF density")),
        ("b.jpg", {}, None),
        ("b.png", {}, None),
    ],
)
def test_pictures_state_a_density(tmp_path, name: str, options: dict, expected: tuple[float, str] | None) -> None:
    Image.fromarray(PICTURE).save(tmp_path / name, **options)
    with Image.open(tmp_path / name) as image:
        found = [(round(scale.x_um_px, 3), scale.source) for scale in picture_scales(image)]
    assert found == ([expected] if expected else [])


def test_exif_states_a_resolution(tmp_path) -> None:
    image = Image.fromarray(PICTURE)
    exif = image.getexif()
    exif[0x011A], exif[0x011B], exif[0x0128] = 20_000.0, 40_000.0, 3
    image.save(tmp_path / "exif.jpg", exif=exif)
    with Image.open(tmp_path / "exif.jpg") as opened:
        assert StatedScale(0.5, 0.25, "EXIF resolution") in picture_scales(opened)


def test_a_scale_reads_as_people_write_it() -> None:
    assert str(StatedScale(0.5, 0.25, "")) == "0.5 × 0.25 µm per pixel"
    assert str(StatedScale(10_000, 10_000, "TIFF resolution")) == "10,000 µm per pixel (TIFF resolution)"
    assert str(StatedScale(0, 0, "")) == "0 µm per pixel"


def test_a_photograph_s_density_is_no_microscope_scale() -> None:
    assert not any(StatedScale(25_400 / dpi, 25_400 / dpi, "").plausible for dpi in (1, 72, 96, 150, 300, 600, 1200))
    assert StatedScale(0.5, 0.505, "").square
    assert not StatedScale(0.5, 0.52, "").square
    assert not StatedScale(0.5, 40.0, "").plausible
