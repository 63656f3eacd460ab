"""Sign a bundle with a private key: what ``cervix.bundle.signature`` then asks for."""

from pathlib import Path

from cervix.bundle.loading import read_verified
from cervix.bundle.signature import SIGNATURE_NAME, hashing_of, listing_of, unsigned_allowed
from cervix.errors import SignatureRefused
from cervix.files import replacing


def sign_bundle(root: Path, private_key: Path, password: str = "") -> str:
    """Write the signature beside the manifest, in place of one that was there; the manifest's SHA-256.

    Parameters
    ----------
    root : Path
        Folder of the bundle, whose files must be what its manifest says. No model is run.
    private_key : Path
        PEM of an elliptic key (P-256, P-384 or P-521).
    password : str
        Of the key; empty where it has none.

    Raises
    ------
    BundleError
        If the files are not what the manifest says.
    SignatureRefused
        If the key cannot be used, the signature cannot be written, or what signs is not installed.
    """
    with unsigned_allowed():
        manifest, sha256, _ = read_verified(root)
    hashing = hashing_of(listing_of(manifest, sha256), f"{manifest.name} {manifest.version}")
    from model_signing import signing

    try:
        signer = signing.Config().use_elliptic_key_signer(
            private_key=private_key,
            password=password.encode() if password else None,  # type: ignore[arg-type, unused-ignore]  # cryptography's
        )
    except Exception as error:  # cryptography promises no set of exceptions for damaged keys
        raise SignatureRefused(
            "The private key cannot be used",
            expected="a PEM of the curve P-256, P-384 or P-521, and its password where it has one",
            found=error.strerror or "no file" if isinstance(error, OSError) else "another kind of key, or another password",
            action="Make one: openssl ecparam -name prime256v1 -genkey -noout -out PRIVATE.pem.",
        ) from error
    try:
        with replacing(root / SIGNATURE_NAME) as temporary:
            signer.set_hashing_config(hashing).sign(root, temporary)
            temporary.chmod(0o644)  # it is public, and another user may run the app
    except OSError as error:
        raise SignatureRefused(
            "The signature cannot be written", found=error.strerror or "", action="Sign a copy in a folder of your own."
        ) from error
    return sha256
