"""Slides made with photographs beside their tissue, and what can still be seen of these."""

import base64
import io
import shutil
import struct
from pathlib import Path

import numpy as np
import openslide
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from cervix.slides.phantom import phantom_region

LEICA = "http://www.leica-microsystems.com/scn/2010/10/01"


def photograph(width_px: int = 390, height_px: int = 460, text: str = "JANE DOE") -> NDArray[np.uint8]:
    """``(height, width, 3)`` uint8: a label with a name on it."""
    image = Image.new("RGB", (width_px, height_px), "white")
    ImageDraw.Draw(image).text((20, 40), text, fill="black", font_size=48)
    return np.asarray(image)


def write_svs(path: Path, *, reduced_levels: bool = True) -> None:
    """Aperio: two levels flagged as reduced, thumbnail, label and macro image."""
    tissue = phantom_region(1024, 768, seed=31)
    head = "Aperio Image Library v10.0.51\r\n"
    with tifffile.TiffWriter(path) as out:
        out.write(tissue, tile=(256, 256), compression="jpeg", metadata=None,
                  description=f"{head}1024x768 [0,0 1024x768] (256x256) JPEG/RGB Q=70|AppMag = 20|MPP = 0.5")  # fmt: skip
        out.write(
            tissue[::4, ::4], rowsperstrip=16, compression="jpeg", metadata=None, description=f"{head}1024x768 -> 256x192 - |"
        )
        out.write(tissue[::2, ::2], tile=(256, 256), compression="jpeg", metadata=None, subfiletype=int(reduced_levels),
                  description=f"{head}1024x768 -> 512x384")  # fmt: skip
        out.write(
            photograph(), rowsperstrip=16, compression="lzw", metadata=None, subfiletype=1, description=f"{head}label 390x460"
        )
        out.write(photograph(800, 300), rowsperstrip=16, compression="jpeg", metadata=None, subfiletype=9,
                  description=f"{head}macro 800x300")  # fmt: skip


def write_scn(path: Path) -> None:
    """Leica: the photograph of the whole glass comes first, tiled, and is called ``image_0000000001``."""
    tissue = phantom_region(1024, 768, seed=32)
    glass = photograph(512, 1280)

    def image(name: str, view: str, dimensions: list[tuple[int, int, int]]) -> str:
        listed = "".join(
            f'<dimension sizeX="{w}" sizeY="{h}" r="{n}" ifd="{ifd}"/>' for n, (ifd, w, h) in enumerate(dimensions)
        )
        return (
            f'<image name="{name}"><pixels sizeX="{dimensions[0][1]}" sizeY="{dimensions[0][2]}">{listed}</pixels>'
            f'<view {view} spacingZ="0"/><creationDate>2020-01-01</creationDate><device model="Leica SCN400" version="1"/>'
            "<scanSettings><objectiveSettings><objective>20</objective></objectiveSettings><illuminationSettings>"
            "<numericalAperture>0.4</numericalAperture><illuminationSource>brightfield</illuminationSource>"
            "</illuminationSettings></scanSettings></image>"
        )

    description = (
        f'<?xml version="1.0"?><scn xmlns="{LEICA}" uuid="1"><collection name="c" sizeX="25600000" sizeY="64000000">'
        "<barcode></barcode>"
        + image("image_0000000001", 'sizeX="25600000" sizeY="64000000" offsetX="0" offsetY="0"', [(0, 512, 1280)])
        + image(
            "image_0000000002",
            'sizeX="10240000" sizeY="7680000" offsetX="5000000" offsetY="20000000"',
            [(1, 1024, 768), (2, 512, 384)],
        )
        + "</collection></scn>"
    )
    with tifffile.TiffWriter(path, bigtiff=True) as out:
        for number, pixels in enumerate((glass, tissue, tissue[::2, ::2])):
            out.write(pixels, tile=(256, 256), compression="jpeg", metadata=None, subfiletype=int(number == 2),
                      description=description if number == 0 else None)  # fmt: skip


def write_ventana(path: Path) -> None:
    """Ventana: label and thumbnail by their descriptions, one area of 4 x 3 tiles."""
    tissue = phantom_region(1024, 768, seed=33)
    iscan = '<iScan Magnification="20" ScanRes="0.5" UnitNumber="1"/>'
    frames = "".join(f'<Frame XY="{x},{y}"/>' for y in range(3) for x in range(4))
    level0 = (
        "<EncodeInfo Ver='2'><SlideInfo><AoiInfo XIMAGESIZE='256' YIMAGESIZE='256' NumRows='3' NumCols='4'/></SlideInfo>"
        f"<SlideStitchInfo><ImageInfo AOIScanned='1' AOIIndex='0' NumRows='3' NumCols='4' Width='256' Height='256' "
        f"Pos-X='0' Pos-Y='0'>{''.join(_joints())}</ImageInfo></SlideStitchInfo>"
        "<AoiOrigin><AOI0 OriginX='0' OriginY='0'/></AoiOrigin>"
        f"<FrameInfo><AOI0>{frames}</AOI0></FrameInfo></EncodeInfo>"
    )
    with tifffile.TiffWriter(path, bigtiff=True) as out:
        xmp = (700, "B", len(iscan), iscan.encode(), True)
        out.write(
            photograph(400, 900), rowsperstrip=64, compression="lzw", metadata=None, description="Label Image", extratags=[xmp]
        )
        out.write(tissue[::4, ::4], rowsperstrip=64, compression="jpeg", metadata=None, description="Thumbnail")
        out.write(tissue, tile=(256, 256), compression="jpeg", metadata=None, description="level=0 mag=20 quality=90",
                  extratags=[(700, "B", len(level0), level0.encode(), True)])  # fmt: skip
        out.write(tissue[::2, ::2], tile=(256, 256), compression="jpeg", metadata=None, description="level=1 mag=10 quality=90")


def _joints() -> list[str]:
    """Joints of 4 x 3 tiles, which the scanner counts row by row, to and fro."""

    def joint(direction: str, first: int, second: int) -> str:
        return (
            f"<TileJointInfo FlagJoined='1' Confidence='100' Direction='{direction}' Tile1='{first}' Tile2='{second}' "
            "OverlapX='0' OverlapY='0'/>"
        )

    def number(x: int, y: int) -> int:
        return y * 4 + (x if y % 2 == 0 else 3 - x) + 1

    right = [joint("RIGHT", number(x, y), number(x + 1, y)) for y in range(3) for x in range(3)]
    return right + [joint("UP", number(x, y), number(x, y + 1)) for y in range(2) for x in range(4)]


def write_philips(path: Path) -> None:
    """Philips: photographs as pages of their own, and once more as base64 within the description."""
    tissue = phantom_region(1024, 1024, seed=34)
    picture = io.BytesIO()
    Image.fromarray(photograph()).save(picture, "JPEG")
    coded = base64.encodebytes(picture.getvalue()).decode()

    def attribute(name: str, value: str) -> str:
        return f'<Attribute Name="{name}" Group="0x0028" Element="0x0030" PMSVR="IString">{value}</Attribute>'

    levels = "".join(
        '<DataObject ObjectType="PixelDataRepresentation">'
        + attribute("DICOM_PIXEL_SPACING", f"&quot;{spacing_mm}&quot; &quot;{spacing_mm}&quot;")
        + "</DataObject>"
        for spacing_mm in (0.0005, 0.001)
    )
    scanned = (
        '<DataObject ObjectType="DPScannedImage">'
        + attribute("PIM_DP_IMAGE_TYPE", "WSI")
        + attribute("DICOM_PIXEL_SPACING", "&quot;0.0005&quot; &quot;0.0005&quot;")
        + f'<Attribute Name="PIIM_PIXEL_DATA_REPRESENTATION_SEQUENCE"><Array>{levels}</Array></Attribute></DataObject>'
        + "".join(
            '<DataObject ObjectType="DPScannedImage">'
            + attribute("PIM_DP_IMAGE_TYPE", kind)
            + attribute("PIM_DP_IMAGE_DATA", coded)
            + "</DataObject>"
            for kind in ("LABELIMAGE", "MACROIMAGE")
        )
    )
    description = (
        '<?xml version="1.0" encoding="UTF-8" ?><DataObject ObjectType="DPUfsImport">'
        f"{attribute('DICOM_MANUFACTURER', 'PHILIPS')}"
        f'<Attribute Name="PIM_DP_SCANNED_IMAGES"><Array>{scanned}</Array></Attribute></DataObject>'
    )
    with tifffile.TiffWriter(path, bigtiff=True) as out:
        out.write(
            tissue, tile=(512, 512), compression="jpeg", metadata=None, description=description, software="Philips DP v1.0"
        )
        out.write(tissue[::2, ::2], tile=(512, 512), compression="jpeg", metadata=None, subfiletype=1, description="level=1")
        out.write(photograph(800, 300), rowsperstrip=300, compression="jpeg", metadata=None, subfiletype=1, description="Macro")


def write_ndpi(path: Path) -> None:
    """Hamamatsu: two levels of one strip each, told from photograph (-1) and map (-2) by the lens."""
    tissue = phantom_region(512, 384, seed=35)
    pages = [(tissue, 20.0), (tissue[::2, ::2], 10.0), (photograph(600, 200), -1.0), (photograph(100, 40), -2.0)]
    blob = bytearray(b"II*\0" + bytes(8))
    tables = []
    for pixels, lens in pages:
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "JPEG", quality=85, subsampling=0)
        offset = len(blob)
        blob += stream.getvalue()
        height, width, _ = pixels.shape
        bits = len(blob)
        blob += struct.pack("<3H", 8, 8, 8)
        tables.append([
            (256, 4, 1, width), (257, 4, 1, height), (258, 3, 3, bits), (259, 3, 1, 7), (262, 3, 1, 6),
            (271, 2, 4, int.from_bytes(b"Ham\0", "little")), (273, 4, 1, offset), (277, 3, 1, 3), (278, 4, 1, height),
            (279, 4, 1, len(stream.getvalue())), (65420, 4, 1, 1),
            (65421, 11, 1, struct.unpack("<I", struct.pack("<f", lens))[0]), (65422, 9, 1, 0), (65423, 9, 1, 0),
            (65424, 9, 1, 0),
        ])  # fmt: skip
    link = 4
    for table in tables:
        blob += bytes(len(blob) % 2)
        struct.pack_into("<Q", blob, link, len(blob))
        blob += struct.pack("<H", len(table)) + b"".join(struct.pack("<HHII", *entry) for entry in table)
        link = len(blob)
        blob += bytes(8) + bytes(4 * len(table))
    path.write_bytes(blob)


def write_czi(path: Path) -> None:
    """Zeiss: one scene of four pieces, a label as JPEG and a preview of the glass as a CZI within the CZI."""
    tissue = phantom_region(512, 512, seed=36)
    pieces = [(x, y, tissue[y : y + 256, x : x + 256]) for y in (0, 256) for x in (0, 256)]
    label = io.BytesIO()
    Image.fromarray(photograph()).save(label, "JPEG")
    preview = _czi([(0, 0, photograph(300, 100))], [])
    path.write_bytes(
        _czi(
            pieces,
            [("Label", b"JPG", label.getvalue()), ("SlidePreview", b"CZI", preview), ("Prescan", b"JPG", label.getvalue())],
        )
    )


def _czi(pieces: list[tuple[int, int, NDArray[np.uint8]]], attachments: list[tuple[str, bytes, bytes]]) -> bytes:
    blob = bytearray(32 + 512)

    def segment(name: bytes, content: bytes) -> int:
        at = len(blob)
        blob.extend(struct.pack("<16sqq", name, len(content), len(content)) + content)
        return at

    directory = b""
    for x, y, pixels in pieces:
        height, width, _ = pixels.shape
        sizes = ((b"X", x, width), (b"Y", y, height), (b"S", 0, 1))
        entry = struct.pack("<2siqiib5si", b"DV", 3, len(blob), 0, 0, 0, b"", len(sizes))
        entry += b"".join(struct.pack("<4siifi", axis, start, size, 0.0, size) for axis, start, size in sizes)
        data = pixels[:, :, ::-1].tobytes()
        segment(b"ZISRAWSUBBLOCK", (struct.pack("<iiq", 0, 0, len(data)) + entry).ljust(256, b"\0") + data)
        directory += entry
    subblocks_at = segment(b"ZISRAWDIRECTORY", struct.pack("<i", len(pieces)).ljust(128, b"\0") + directory)
    xml = (
        b"<ImageDocument><Metadata><Information><Image><SizeX>512</SizeX><SizeY>512</SizeY><SizeS>1</SizeS></Image>"
        b"</Information><Scaling><Items><Distance Id='X'><Value>5e-7</Value></Distance>"
        b"<Distance Id='Y'><Value>5e-7</Value></Distance></Items></Scaling></Metadata></ImageDocument>"
    )
    metadata_at = segment(b"ZISRAWMETADATA", struct.pack("<ii", len(xml), 0).ljust(256, b"\0") + xml)
    listed = b""
    for name, kind, content in attachments:
        entry = struct.pack("<2s10sqi16s8s80s", b"A1", b"", len(blob), 0, b"", kind, name.encode())
        segment(b"ZISRAWATTACH", (struct.pack("<i12s", len(content), b"") + entry).ljust(256, b"\0") + content)
        listed += entry
    attachments_at = segment(b"ZISRAWATTDIR", struct.pack("<i", len(attachments)).ljust(256, b"\0") + listed)
    head = struct.pack("<iiii16s16siqqiq", 1, 0, 0, 0, b"", b"", 0, subblocks_at, metadata_at, 0, attachments_at)
    blob[:544] = struct.pack("<16sqq", b"ZISRAWFILE", 512, 512) + head.ljust(512, b"\0")
    return bytes(blob)


def write_mirax(path: Path, without: Path) -> None:
    """MIRAX: a slide without photographs (``.mrxs``) gets label, preview and a photograph of the whole glass."""
    folder = path.with_suffix("")
    shutil.copytree(without.with_suffix(""), folder, copy_function=shutil.copyfile)
    Image.fromarray(photograph(200, 400)).save(path, "JPEG")
    (folder / "Label.jpg").write_bytes(path.read_bytes())
    names = ["SlideBarcode", "SlidePreview", "SlideThumbnail", "WholeSlide"]
    index = bytearray((folder / "Index.dat").read_bytes())
    data = bytearray((folder / "Data0000.dat").read_bytes())
    table = len(index)
    index += bytes(4 * len(names))
    for number, name in enumerate(names):
        stream = io.BytesIO()
        Image.fromarray(photograph(300 + 10 * number, 200, name)).save(stream, "JPEG")
        struct.pack_into("<i", index, table + 4 * number, len(index))
        index += struct.pack("<9i", 0, len(index) + 8, 1, 0, 0, 0, len(data), len(stream.getvalue()), 0)
        data += stream.getvalue()
    struct.pack_into("<i", index, 5 + 32 + 4, table)
    (folder / "Index.dat").write_bytes(index)
    (folder / "Data0000.dat").write_bytes(data)
    told = (folder / "Slidedat.ini").read_text("utf-8")
    layers = [f"NONHIER_COUNT=1\nNONHIER_0_NAME=Scan data layer\nNONHIER_0_COUNT={len(names)}"]
    sections = []
    for number, name in enumerate(names):
        section = f"NONHIERLAYER_0_LEVEL_{number}_SECTION"
        layers.append(f"NONHIER_0_VAL_{number}=ScanDataLayer_{name}\nNONHIER_0_VAL_{number}_SECTION={section}")
        sections.append(f"[{section}]\nBARCODE_IMAGE_TYPE=JPEG\nPREVIEW_IMAGE_TYPE=JPEG\nTHUMBNAIL_IMAGE_TYPE=JPEG")
    (folder / "Slidedat.ini").write_text(
        "\n".join([told.replace("NONHIER_COUNT=0", "\n".join(layers)), *sections, ""]), "utf-8"
    )


def still_readable(path: Path) -> list[str]:
    """Names of the images beside the levels that OpenSlide still shows, blank ones left out."""
    seen = []
    try:
        names = list(openslide.OpenSlide(str(path)).associated_images)
    except openslide.OpenSlideError:
        names = []
    for name in names:
        try:
            image = openslide.OpenSlide(str(path)).associated_images[name].convert("RGB")
        except openslide.OpenSlideError:
            continue
        if any(low != high for low, high in image.getextrema()):
            seen.append(name)
    return seen


def levels_of(path: Path) -> list[bytes]:
    """The pixels of every level, as far as sizes are those of a slide in these tests."""
    with openslide.OpenSlide(str(path)) as slide:
        return [
            slide.read_region((0, 0), level, (min(width, 3000), min(height, 3000))).tobytes()
            for level, (width, height) in enumerate(slide.level_dimensions)
        ]
