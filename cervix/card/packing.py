"""A bundle as one zip, the same bytes whoever packs it and whenever, and what a bundle says of itself before it is run."""

import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cervix.bundle import Bundle
from cervix.bundle.loading import read_verified
from cervix.bundle.manifest import CARD_NAME, MANIFEST_NAME, SCHEMA_NAME, json_schema
from cervix.bundle.sessions import Device
from cervix.bundle.signature import SIGNATURE_NAME, signature_of
from cervix.card.markdown import model_card
from cervix.errors import BundleError
from cervix.files import replacing, sha256_of
from cervix.interop.proved_files import proved_files
from cervix.promotion.candidates import unpack_bundle

# The first day that a zip can state (APPNOTE.TXT 4.4.6): when a bundle was packed is none of its bytes.
PACKED_AT: Final = (1980, 1, 1, 0, 0, 0)
UNIX: Final = 3
READABLE: Final = 0o100644 << 16


def pack_bundle(root: Path, out: Path, *, device: Device = "cpu") -> str:
    """Write a bundle as a zip, once every variant has answered its golden vectors; SHA-256 of the zip.

    It holds the manifest, what the manifest lists, the schema, the card made from the manifest, and the signature where there
    is one; nothing else that lies in the folder. Members are stored and not deflated: weights shrink by little, and what
    deflates differs from one version of zlib to the next.

    Parameters
    ----------
    root : Path
        Folder of the bundle.
    out : Path
        The zip, written whole or not at all.

    Raises
    ------
    BundleError
        The bundle does not prove itself, changed meanwhile, or the zip cannot be written.
    """
    files = proved_files(root, device=device)
    # Without the checks: what a machine answered is that machine's, and the zip is the same from each.
    bundle = Bundle(root, files.manifest, files.sha256, {}, [])
    manifest, signature = (root / MANIFEST_NAME).read_bytes(), signature_of(root)
    members = {
        MANIFEST_NAME: manifest,
        **({} if signature is None else {SIGNATURE_NAME: signature}),
        SCHEMA_NAME: json_schema().encode(),
        CARD_NAME: model_card(bundle).encode(),
        **dict(sorted(files.contents.items())),
    }
    try:
        with replacing(out) as temporary:
            with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
                for name, content in members.items():
                    member = zipfile.ZipInfo(name, PACKED_AT)
                    member.create_system, member.external_attr = UNIX, READABLE
                    archive.writestr(member, content)
            with opened(temporary) as unpacked:
                # The manifest, its files and the signature were read one after the other.
                if read_verified(unpacked)[1] != files.sha256:
                    raise BundleError("The bundle was replaced while it was packed", action="Pack it again.")
            temporary.chmod(0o644)
            sha256 = sha256_of(temporary)
    except OSError as error:
        raise BundleError("The zip cannot be written", found=error.strerror or "", action="Choose another place.") from error
    return sha256


@contextmanager
def opened(path: Path) -> Iterator[Path]:
    """The folder of a bundle: the one named, or a temporary one with what a zip holds, while the block runs.

    Raises ``UploadRefused`` or ``BundleError`` as ``unpack_bundle``.
    """
    if not path.is_file():
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="cervix-bundle-") as place:
        yield unpack_bundle(path, Path(place))
