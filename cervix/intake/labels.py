"""Remove the photographs that scanners take of a slide's label: they can show a name."""

import re
from pathlib import Path

import tifffile

# Names that tifffile gives to the associated images of Aperio, Hamamatsu, Leica, Ventana and Philips files.
LABEL_SERIES = {"label", "macro"}
TIFF_SUFFIXES = {".svs", ".tif", ".tiff", ".ndpi", ".scn", ".bif"}
DICOM_HEAD_BYTES = 64 << 10
# Value of (0008,0008) Image Type, DICOM PS3.3 C.8.12.4.1.1.
DICOM_LABEL = re.compile(rb"(ORIGINAL|DERIVED)\\PRIMARY\\(LABEL|OVERVIEW)\\")


def blank_label_images(path: Path) -> int:
    """Overwrite label and macro images inside a TIFF-based slide; returns how many there were.

    Their directories stay, so that the slide opens as before. A file that is no TIFF, or whose images cannot be told, is
    left as it is; nothing in this project ever reads such an image.
    """
    if path.suffix.lower() not in TIFF_SUFFIXES:
        return 0
    try:
        with tifffile.TiffFile(path) as slide:
            pages = [page for series in slide.series if series.name.lower() in LABEL_SERIES for page in series.pages]
            spans = [
                span for page in pages if page is not None for span in zip(page.dataoffsets, page.databytecounts, strict=True)
            ]
    except (tifffile.TiffFileError, ValueError, IndexError, KeyError):
        return 0
    with path.open("r+b") as stream:
        for offset, count in spans:
            stream.seek(offset)
            stream.write(bytes(count))
    return len(pages)


def is_dicom_label(path: Path) -> bool:
    """Whether a DICOM file is the photograph of a label or of the whole glass."""
    with path.open("rb") as stream:
        return DICOM_LABEL.search(stream.read(DICOM_HEAD_BYTES)) is not None
