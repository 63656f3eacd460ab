"""Bundles beside the one that ships with the app: in folders on this server, or come as a zip."""

import re
import shutil
from pathlib import Path

from cervix.bundle.loading import SHORT_HASH, read_manifest, read_verified
from cervix.bundle.manifest import MANIFEST_NAME, Manifest
from cervix.bundle.signature import BESIDE
from cervix.errors import BundleError
from cervix.intake.archive import extract_archive
from cervix.outside_names import inside
from cervix.promotion.leftovers import clear_leftovers, on_its_way
from cervix.promotion.proving import prove_apart

UNPACKED_LIMIT_BYTES = 2 << 30
NOT_IN_A_NAME = r"[^\w.-]"
NAME_BYTES = 120
"""Of a bundle's name in that of its folder, which file systems give 255; a letter may take four."""


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
            target = inside(root, place.relative_to(tops[0]))
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(unpacked, target)
    return root


def candidate_folders(bundles_dir: Path) -> dict[str, Path]:
    """The bundles on this server by the names of their folders; not those on their way there."""
    folders = (manifest.parent for manifest in sorted(bundles_dir.glob(f"*/{MANIFEST_NAME}")))
    return {folder.name: folder for folder in folders if not folder.name.startswith(".")}


def keep_bundle(archive: Path, bundles_dir: Path, *, meant: tuple[str, str] | None = None) -> Path:
    """Unpack a bundle to stay on this server and return its folder, which is whole or not there. It proves itself first.

    The folder is named after the bundle, its version and its hash. The same bundle again is kept once.

    Parameters
    ----------
    meant : (name, version), optional
        What it must be.

    Raises
    ------
    UploadRefused
        As ``unpack_bundle``.
    BundleError
        If it holds no bundle, its files are not what its manifest says, it does not prove itself, or it cannot be written.
    LostApart
        If the bundle ended the process in which it had to prove itself.
    """
    try:
        bundles_dir.mkdir(parents=True, exist_ok=True)
        clear_leftovers(bundles_dir)
        with on_its_way(bundles_dir) as place:
            root = unpack_bundle(archive, place)
            manifest, sha256, _ = read_verified(root)
            if meant is not None and meant != (manifest.name, manifest.version):
                raise BundleError(
                    "The archive holds another bundle",
                    expected=" ".join(meant),
                    found=f"{manifest.name[:100]} {manifest.version}",
                    action="Ask whoever made the list.",
                )
            _drop_unlisted(root, manifest)
            prove_apart(root)
            plain = re.sub(NOT_IN_A_NAME, "-", manifest.name).encode()[:NAME_BYTES].decode(errors="ignore")
            name = f"{plain}-{manifest.version}-{sha256[:SHORT_HASH]}".lstrip(".")
            _put_in_place(root, bundles_dir / name)
    except OSError as error:
        raise BundleError(
            "The bundle cannot be kept on this server", found=error.strerror or "", action="Free some space and try again."
        ) from error
    if read_manifest(bundles_dir / name)[1] != sha256:
        raise BundleError(
            f"The folder {name} holds another bundle", expected=sha256[:SHORT_HASH], action="Move that folder away."
        )
    return bundles_dir / name


def _put_in_place(root: Path, folder: Path) -> None:
    if folder.exists():
        return
    try:
        root.rename(folder)
    except OSError:
        if not folder.exists():  # else somebody kept the same one in this moment
            raise


def _drop_unlisted(root: Path, manifest: Manifest) -> None:
    """Leave what the manifest lists and what belongs beside it: nothing else is ever read, so nothing else is kept."""
    wanted = {inside(root, name) for name in (MANIFEST_NAME, *BESIDE, *(file.path for file in manifest.files))}
    for path in root.rglob("*"):
        if path.is_file() and path not in wanted:
            path.unlink()
