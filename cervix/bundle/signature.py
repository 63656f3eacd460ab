"""The signature beside a bundle's manifest, asked for wherever a bundle is read once a key is configured.

It is an OpenSSF model signature (https://github.com/ossf/model-signing-spec) by an elliptic key, checked offline. It lists
the manifest and every file that the manifest lists, by SHA-256. What is held against that list is the manifest as it was
read, so nothing can be exchanged between the check and the use: each file is then held against the manifest
(``cervix.bundle.loading.read_verified``).
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from cervix.bundle.manifest import CARD_NAME, MANIFEST_NAME, SCHEMA_NAME, Manifest
from cervix.errors import NameRefused, SignatureRefused
from cervix.outside_names import inside
from cervix.settings import get_settings

SIGNATURE_NAME: Final = "model.sig"
"""As the tools of OpenSSF name it. The manifest does not list it."""
SIGNATURE_BYTES_AT_MOST: Final = 1 << 20
KEY_BYTES_AT_MOST: Final = 64 << 10
BESIDE: Final = (SIGNATURE_NAME, SCHEMA_NAME, CARD_NAME, "README.md", "DATA.md", "LICENSE", ".gitattributes")
"""What lies in a bundle's folder and is made from the manifest, or for people: nothing of it is read, so it is not signed."""
INSTALL: Final = "Install it: pip install -r requirements-signing.txt."

Listing = tuple[tuple[str, str], ...]
"""Path and SHA-256 of each file that a signature covers."""

_asked: ContextVar[bool] = ContextVar("signatures are asked for", default=True)


def _nobody(sha256: str) -> bool:
    del sha256
    return False


_vouching: Callable[[str], bool] = _nobody


def vouched_by(vouching: Callable[[str], bool]) -> Callable[[str], bool]:
    """Ask a function whether a bundle is part of this app, by the SHA-256 of its manifest; the function before it.

    Such a bundle needs no signature: whoever could exchange it could exchange the check as well.
    """
    global _vouching
    before, _vouching = _vouching, vouching
    return before


def is_vouched(sha256: str) -> bool:
    """Whether the bundle with this manifest is part of the app where it is read."""
    return _vouching(sha256)


@contextmanager
def unsigned_allowed() -> Iterator[None]:
    """Read bundles without asking for a signature: to make one, to sign one, to say what one is. Never to score with it."""
    token = _asked.set(False)
    try:
        yield
    finally:
        _asked.reset(token)


def require_signature(root: Path, manifest: Manifest, sha256: str) -> None:
    """Nothing where no key is configured; else the bundle must carry a valid signature by it.

    Parameters
    ----------
    root : Path
        Its folder, where the signature lies.
    sha256 : str
        Of the manifest as it was read.

    Raises
    ------
    SignatureRefused
        There is no signature, it is by another key or of another bundle, the key cannot be used, or what checks it is not
        installed.
    """
    if get_settings().bundle_key is None or not _asked.get() or is_vouched(sha256):
        return
    signature = signature_of(root)
    if signature is None:
        raise SignatureRefused(
            "The bundle is not signed",
            expected=f"{SIGNATURE_NAME} beside its manifest, by the key that CERVIX_BUNDLE_KEY names",
            found=f"no {SIGNATURE_NAME}",
            action="Have it signed by whoever holds the private key: python -m cervix bundle sign FOLDER --key PRIVATE.pem.",
        )
    _check(listing_of(manifest, sha256), signature, _configured_key())


def signature_words(root: Path, manifest: Manifest, sha256: str) -> str:
    """What is to be said of a bundle's signature, as half a sentence."""
    try:
        signature = signature_of(root)
        if signature is None:
            return "not signed, and part of this app" if is_vouched(sha256) else "not signed"
        if get_settings().bundle_key is None:
            return "signed, not checked: no key (CERVIX_BUNDLE_KEY)"
        _check(listing_of(manifest, sha256), signature, _configured_key())
    except SignatureRefused as error:
        return f"refused. {error}"
    return "signed by the key of this server"


def signature_of(root: Path) -> bytes | None:
    """The signature of a bundle; None where it has none. ``SignatureRefused`` where what lies there cannot be one."""
    try:
        path = inside(root, SIGNATURE_NAME)
        with path.open("rb") as stream:
            content = stream.read(SIGNATURE_BYTES_AT_MOST + 1)
    except FileNotFoundError:
        return None
    except (OSError, NameRefused) as error:
        found = error.found if isinstance(error, NameRefused) else error.strerror or ""
        raise _refused("a file that can be read", found) from error
    if len(content) > SIGNATURE_BYTES_AT_MOST:
        raise _refused(f"at most {SIGNATURE_BYTES_AT_MOST:,} bytes", "more")
    return content


def listing_of(manifest: Manifest, sha256: str) -> Listing:
    """What a signature of this bundle must list: the manifest, and every file as the manifest lists it."""
    return ((MANIFEST_NAME, sha256), *((file.path, file.sha256) for file in manifest.files))


def hashing_of(listing: Listing, name: str = "bundle") -> Any:
    """What ``model_signing`` asks for hashes: these, of what was read already, and not what lies on the disk by then."""
    try:
        from model_signing import hashing
        from model_signing import manifest as listed
        from model_signing._hashing.hashing import Digest  # the pinned release gives it no public name
    except ImportError as error:
        raise SignatureRefused(
            "What makes and checks signatures of bundles is not installed",
            expected="model-signing and what it needs",
            found=f"no {error.name or 'model_signing'}",
            action=INSTALL,
        ) from error

    kind = listed.SerializationType.from_args(
        {"method": "files", "hash_type": "sha256", "allow_symlinks": False, "ignore_paths": [Path(beside) for beside in BESIDE]}
    )
    items = [kind.new_item(path, Digest("sha256", bytes.fromhex(sha256))) for path, sha256 in listing]

    class Listed(hashing.Config):  # type: ignore[misc, unused-ignore]
        def hash(self, model_path: object, *, files_to_hash: object = None) -> listed.Manifest:
            del model_path, files_to_hash
            return listed.Manifest(name, items, kind)

        def add_ignored_paths(self, **ignored: object) -> None:
            """Nothing lies here that could be passed over."""

    return Listed()


# Pages read the manifest at every run. What was refused is not remembered, and so asked again.
@lru_cache(maxsize=32)
def _check(listing: Listing, signature: bytes, key: bytes) -> None:
    """``SignatureRefused`` unless this signature is of exactly these files and by this key."""
    hashing = hashing_of(listing)
    from model_signing import verifying

    with tempfile.TemporaryDirectory() as place:
        signature_path, key_path = Path(place, SIGNATURE_NAME), Path(place, "key.pem")
        signature_path.write_bytes(signature)
        key_path.write_bytes(key)
        try:
            config = verifying.Config().use_elliptic_key_verifier(public_key=key_path).set_hashing_config(hashing)
        except Exception as error:  # cryptography promises no set of exceptions for damaged keys
            raise _no_key("a file that holds none") from error
        try:
            config.verify(Path(place), signature_path)
        except Exception as error:  # nor does model_signing for damaged signatures
            raise _refused(
                "a signature of exactly these files by the key that CERVIX_BUNDLE_KEY names", _what_it_is(error)
            ) from error


def _what_it_is(error: Exception) -> str:
    """What a signature is that ``model_signing`` refuses. Another key is an exception of cryptography, without words."""
    told = str(error)
    if told.startswith("Key mismatch") or type(error).__name__ == "InvalidSignature":
        return "one by another key"
    return "one of other files" if told.startswith("Signature mismatch") else "a damaged one"


def _configured_key() -> bytes:
    path = get_settings().bundle_key
    assert path is not None, "asked only where there is one"
    try:
        with path.open("rb") as stream:
            key = stream.read(KEY_BYTES_AT_MOST + 1)
    except OSError as error:
        raise _no_key(error.strerror or "no file") from error
    if len(key) > KEY_BYTES_AT_MOST:
        raise _no_key("a file that holds none")
    return key


def _refused(expected: str, found: str) -> SignatureRefused:
    return SignatureRefused(
        "The signature of the bundle does not hold",
        expected=expected,
        found=found,
        action="Do not use this bundle. Get it again, signed, from whoever made it.",
    )


def _no_key(found: str) -> SignatureRefused:
    return SignatureRefused(
        "The key for the signatures of bundles cannot be used, so no bundle is",
        expected="CERVIX_BUNDLE_KEY: the file of a public key as PEM, of the curve P-256, P-384 or P-521",
        found=found,
        action="Name the right file, or leave the setting away to use bundles without asking for a signature.",
    )
