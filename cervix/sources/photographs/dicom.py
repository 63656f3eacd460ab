"""Which DICOM instances show tissue, told by what they say at their beginning."""

import re
from pathlib import Path

HEAD_BYTES = 64 << 10
# Values of (0008,0008) Image Type and of (0008,9007) Frame Type; the third says what is shown (DICOM PS3.3 C.8.12.4.1.1).
IMAGE_TYPE = re.compile(rb"(?:ORIGINAL|DERIVED)\\PRIMARY\\([^\\\0]{1,16})")
# (0048,0010) Specimen Label in Image with the value YES, with and without its VR.
LABEL_IN_IMAGE = re.compile(rb"\x48\x00\x10\x00(?:CS\x04\x00|\x04\x00\x00\x00)YES")


def shows_tissue(path: Path) -> bool:
    """Whether a DICOM file is known to be a level of the pyramid, without the label in it.

    Photographs of label and glass, thumbnails, and files that do not say what they are, are not.
    """
    with path.open("rb") as stream:
        head = stream.read(HEAD_BYTES)
    kinds = {kind.strip() for kind in IMAGE_TYPE.findall(head)}
    return kinds == {b"VOLUME"} and LABEL_IN_IMAGE.search(head) is None
