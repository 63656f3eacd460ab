"""Large slides for benchmarks, written tile by tile: a few blocks of phantom tissue on glass, as scanners lay them out."""

import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import pydicom
import tifffile
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit, VLWholeSlideMicroscopyImageStorage, generate_uid

from cervix.slides.phantom import GLASS_RGB, PHANTOM_SPACING_UM_PX, phantom_region

TILE_PX = 256
BLOCK_PX = 4096
"""Edge of a block of tissue; a whole tile at the coarsest level."""
DOWNSAMPLES = (1, 4, 16)
APERIO_JPEG_2000_RGB = 33005
JPEG_QUALITY = 80

DICOM_FRAME_PX = 1024

Codec = Literal["jpeg", "jpeg2000"]


def write_large_slide(path: Path, side_px: int, tissue_blocks: int, codec: Codec = "jpeg") -> None:
    """A square slide with three levels. A block holds about 200 tiles of tissue."""
    block = Image.fromarray(phantom_region(BLOCK_PX, BLOCK_PX, seed=5))
    across = math.ceil(side_px / BLOCK_PX)
    places = np.linspace(0, across * across - 1, tissue_blocks + 2).astype(int)[1:-1]
    described = f"Aperio Image Library v12\r\n{side_px}x{side_px} (256x256)|AppMag = 20|MPP = {PHANTOM_SPACING_UM_PX}"
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        for downsample in DOWNSAMPLES:
            writer.write(
                _tiles(
                    block.reduce(downsample), side_px, downsample, {(int(p // across), int(p % across)) for p in places}, codec
                ),
                shape=(math.ceil(side_px / downsample), math.ceil(side_px / downsample), 3),
                dtype=np.uint8,
                tile=(TILE_PX, TILE_PX),
                photometric="ycbcr" if codec == "jpeg" else "rgb",
                compression="jpeg" if codec == "jpeg" else APERIO_JPEG_2000_RGB,
                subsampling=(2, 2) if codec == "jpeg" else None,
                subfiletype=int(downsample > 1),
                description=described,
                metadata=None,
            )


def write_dicom_slide(path: Path, side_px: int) -> None:
    """A square slide of glass as a DICOM series of one instance, with what a scanner says of where it lies."""
    across = math.ceil(side_px / DICOM_FRAME_PX)
    glass = _encoded(Image.new("RGB", (DICOM_FRAME_PX, DICOM_FRAME_PX), GLASS_RGB), "jpeg")
    made, meta, measures, origin, shared, optical = (Dataset(), FileMetaDataset(), *(Dataset() for _ in range(4)))
    meta.MediaStorageSOPClassUID = made.SOPClassUID = VLWholeSlideMicroscopyImageStorage
    meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = JPEGBaseline8Bit
    made.StudyInstanceUID, made.SeriesInstanceUID, made.FrameOfReferenceUID = generate_uid(), generate_uid(), generate_uid()
    made.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    made.Modality, made.PatientID, made.PositionReferenceIndicator = "SM", "MADE", "SLIDE_CORNER"
    made.DimensionOrganizationType = "TILED_FULL"
    made.SamplesPerPixel, made.PhotometricInterpretation, made.PlanarConfiguration = 3, "YBR_FULL_422", 0
    made.Rows = made.Columns = DICOM_FRAME_PX
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 8, 8, 7, 0
    made.TotalPixelMatrixRows = made.TotalPixelMatrixColumns = side_px
    made.TotalPixelMatrixFocalPlanes = made.NumberOfOpticalPaths = 1
    made.ImagedVolumeWidth = made.ImagedVolumeHeight = side_px * PHANTOM_SPACING_UM_PX / 1000
    origin.XOffsetInSlideCoordinateSystem, origin.YOffsetInSlideCoordinateSystem = 30.0, 60.0
    made.TotalPixelMatrixOriginSequence = [origin]
    made.ImageOrientationSlide = [0, -1, 0, -1, 0, 0]
    measures.PixelSpacing, measures.SliceThickness = [PHANTOM_SPACING_UM_PX / 1000] * 2, 0.001
    shared.PixelMeasuresSequence = [measures]
    made.SharedFunctionalGroupsSequence = [shared]
    optical.OpticalPathIdentifier = "1"
    made.OpticalPathSequence = [optical]
    made.NumberOfFrames = across * across
    made.PixelData = encapsulate([glass] * (across * across))
    made["PixelData"].is_undefined_length = True
    made.file_meta = meta
    pydicom.dcmwrite(path, made, enforce_file_format=True)


def _tiles(block: Image.Image, side_px: int, downsample: int, tissue: set[tuple[int, int]], codec: Codec) -> Iterator[bytes]:
    per_block = block.width // TILE_PX
    glass = _encoded(Image.new("RGB", (TILE_PX, TILE_PX), GLASS_RGB), codec)
    drawn = {
        (row, column): _encoded(
            block.crop((column * TILE_PX, row * TILE_PX, (column + 1) * TILE_PX, (row + 1) * TILE_PX)), codec
        )
        for row in range(per_block)
        for column in range(per_block)
    }
    count = math.ceil(math.ceil(side_px / downsample) / TILE_PX)
    for row in range(count):
        for column in range(count):
            here = (row // per_block, column // per_block) in tissue
            yield drawn[row % per_block, column % per_block] if here else glass


def _encoded(tile: Image.Image, codec: Codec) -> bytes:
    buffer = io.BytesIO()
    if codec == "jpeg":
        tile.save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling="4:2:0")
    else:
        tile.save(buffer, "JPEG2000", no_jp2=True, irreversible=True, quality_mode="rates", quality_layers=[15])
    return buffer.getvalue()
