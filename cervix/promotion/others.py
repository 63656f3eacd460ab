"""The bundles of this server, for whoever wants a second one beside the one at work."""

from dataclasses import dataclass
from pathlib import Path

from cervix.bundle import Bundle
from cervix.bundle.active import active_bundle
from cervix.bundle.loading import bundle_label, read_manifest
from cervix.bundle.manifest import Manifest, ModelKind
from cervix.bundle.sessions import Device
from cervix.errors import BundleError
from cervix.promotion.candidates import candidate_folders
from cervix.promotion.proving import prove_apart
from cervix.settings import Settings
from cervix.web.bundles import proved_before


@dataclass(frozen=True)
class OtherBundle:
    """A bundle of this server as its folder and manifest say, not proved yet."""

    root: Path
    manifest: Manifest
    sha256: str
    active: bool
    """Whether it is the active one."""
    brought: bool
    """Whether somebody brought it; else it ships with the app."""

    @property
    def label(self) -> str:
        """As ``Bundle.label``."""
        return bundle_label(self.manifest.name, self.manifest.version, self.sha256)

    def has(self, kind: ModelKind) -> bool:
        """Whether it has a model of that kind."""
        return bool(self.manifest.of_kind(kind))


def other_bundles(settings: Settings, than_sha256: str = "") -> list[OtherBundle]:
    """The bundle that ships and those in the folders of this server, each once, but for the one of that hash.

    One that cannot be read is left out: the page Improve says what it lacks, where it is chosen.
    """
    active = active_sha256(settings)
    places = [(settings.bundle_dir, False), *((folder, True) for folder in candidate_folders(settings.bundles_dir).values())]
    found: dict[str, OtherBundle] = {}
    for root, brought in places:
        try:
            manifest, sha256 = read_manifest(root)
        except BundleError:
            continue
        if sha256 != than_sha256:
            found.setdefault(sha256, OtherBundle(root, manifest, sha256, sha256 == active, brought))
    return list(found.values())


def active_sha256(settings: Settings) -> str:
    """Which bundle is active; empty where that cannot be told."""
    try:
        return active_bundle(settings).sha256
    except BundleError:
        return ""


def proved_candidate(root: Path, sha256: str, device: Device) -> Bundle:
    """A bundle in a folder of this server that somebody brought, proved apart and then here; raises as ``proved_other``."""
    prove_apart(root)
    return proved_before(root, sha256, device)


def proved_other(other: OtherBundle, device: Device) -> Bundle:
    """The bundle, proved here; one that somebody brought proves itself in a process of its own first.

    Raises
    ------
    BundleError, LostApart
        As ``load_candidate``.
    """
    prove = proved_candidate if other.brought else proved_before
    return prove(other.root, other.sha256, device)
