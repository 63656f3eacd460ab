"""The files of a bundle, read once and proved: what is exported is what answered its golden vectors."""

from dataclasses import dataclass
from pathlib import Path

from cervix.bundle.loading import read_verified
from cervix.bundle.manifest import Manifest
from cervix.bundle.sessions import Device
from cervix.errors import BundleError
from cervix.patients.golden import prove_variants


@dataclass(frozen=True)
class ProvedFiles:
    """A bundle whose every variant answered its golden vectors here.

    Attributes
    ----------
    contents : path -> bytes
        Of every file that the manifest lists.
    cases : str
        What was replayed, in words.
    """

    root: Path
    manifest: Manifest
    sha256: str
    contents: dict[str, bytes]
    cases: str

    @property
    def label(self) -> str:
        """Name, version and hash."""
        return f"{self.manifest.name} {self.manifest.version} (manifest SHA-256 {self.sha256})"

    @property
    def origin(self) -> dict[str, str]:
        """The same for a list of files."""
        return {"bundle": f"{self.manifest.name} {self.manifest.version}", "bundle_sha256": self.sha256}


def proved_files(root: Path, *, device: Device = "cpu") -> ProvedFiles:
    """Prove every variant of a bundle and read its files; ``BundleError`` where one does not answer as recorded."""
    checks = prove_variants(root, device=device)
    for check in checks:
        if not check.passed:
            raise BundleError(
                f"{check.variant.file} does not answer as recorded, so nothing is exported",
                expected=f"{check.worst_output} within {check.variant.tolerance[check.worst_output]:g}",
                found=f"{check.absolute_difference:.2g}",
            )
    manifest, sha256, contents = read_verified(root)
    replayed = "; ".join(f"{check.variant.file} on {check.provider}" for check in checks)
    return ProvedFiles(root, manifest, sha256, contents, replayed)
