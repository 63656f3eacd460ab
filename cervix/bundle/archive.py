"""A bundle that came as a zip, unpacked as its manifest names its files."""

import shutil
from pathlib import Path

from cervix.bundle.manifest import MANIFEST_NAME
from cervix.errors import BundleError
from cervix.intake.archive import extract_archive

UNPACKED_LIMIT_BYTES = 2 << 30


def unpack_bundle(archive: Path, folder: Path) -> Path:
    """Unpack under ``folder`` and return the folder with the manifest; nothing is checked yet but the archive itself.

    The bundle may lie at the top of the archive or in one folder of it.

    Raises
    ------
    UploadRefused
        If the archive is damaged, too large or leads out of itself.
    BundleError
        If it does not hold exactly one manifest.
    """
    members = extract_archive(archive, folder / "members", UNPACKED_LIMIT_BYTES)
    tops = [place.parent for _, place in members if place.name == MANIFEST_NAME]
    if len(tops) != 1:
        raise BundleError(
            "The archive is not a bundle",
            expected=f"one {MANIFEST_NAME}, at the top or in a folder",
            found=f"{len(tops)} in {len(members):,} files",
            action="Pack the whole bundle folder as a zip.",
        )
    root = folder / "bundle"
    for unpacked, place in members:
        if place.is_relative_to(tops[0]):
            target = root / place.relative_to(tops[0])
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(unpacked, target)
    return root
