"""Which bundle is active: the one that ships with the app, or the last of a line of promotions."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from filelock import FileLock, Timeout
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from cervix.bundle.loading import SHORT_HASH, Bundle, TableReplay, bundle_label, load_bundle, read_manifest
from cervix.bundle.manifest import Manifest, Sha256
from cervix.bundle.sessions import Device
from cervix.errors import BundleError, PromotionRefused
from cervix.files import replacing
from cervix.settings import Settings

POINTER_NAME = "active.json"
LOCK_NAME = "active.lock"
LOCK_PATIENCE_S = 10.0
SHIPPED = "the bundle that ships with the app"
WAY_BACK = "Put the folder back as it was, or roll back: on the page Improve, or with `python -m cervix bundle roll-back`."


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Promotion(_Strict):
    """A bundle that was made the active one.

    ``folder`` is its name under ``Settings.bundles_dir``, ``sha256`` that of its manifest, ``reason`` why it was promoted
    though the rules said to keep the one before; empty where they said to promote it.
    """

    folder: Annotated[str, Field(pattern=r"^[^/\\]+$")]
    sha256: Sha256
    name: str
    version: str
    promoted_at: AwareDatetime
    promoted_by: str
    reason: str = ""

    @property
    def label(self) -> str:
        """As ``Bundle.label``."""
        return bundle_label(self.name, self.version, self.sha256)


class PromotionLine(_Strict):
    """The promotions that stand, the active one last; with none, the bundle that ships with the app is active.

    ``changed_at`` and ``changed_by`` are of the last promotion or roll back; None and empty where there was none.
    """

    promotions: tuple[Promotion, ...] = ()
    changed_at: AwareDatetime | None = None
    changed_by: str = ""

    @property
    def before_last(self) -> str:
        """What a roll back makes active, in words; there must be a promotion."""
        return self.promotions[-2].label if len(self.promotions) > 1 else SHIPPED

    def with_promotion(self, promotion: Promotion) -> "PromotionLine":
        """The line with one more at its end."""
        return PromotionLine(
            promotions=(*self.promotions, promotion), changed_at=promotion.promoted_at, changed_by=promotion.promoted_by
        )

    def without_last(self, by: str) -> "PromotionLine":
        """The line rolled back by one, now."""
        return PromotionLine(promotions=self.promotions[:-1], changed_at=datetime.now(UTC), changed_by=by)


@dataclass(frozen=True)
class ActiveBundle:
    """The active bundle as its folder and manifest say, not proved yet."""

    root: Path
    manifest: Manifest
    sha256: str
    line: PromotionLine

    @property
    def label(self) -> str:
        """As ``Bundle.label``."""
        return bundle_label(self.manifest.name, self.manifest.version, self.sha256)

    def load(self, device: Device, tables: TableReplay) -> Bundle:
        """The bundle, proved with its golden tables; ``BundleError`` where it does not. No other takes its place."""
        try:
            bundle = load_bundle(self.root, device=device, tables=tables)
        except BundleError as error:
            if not self.line.promotions:
                raise
            raise BundleError(
                f"The promoted bundle in {self.root.name} cannot be used. {error.problem}",
                expected=error.expected,
                found=error.found,
                action=WAY_BACK,
            ) from error
        return same_bundle(bundle, self.sha256)


def same_bundle(bundle: Bundle, sha256: str) -> Bundle:
    """The bundle, if its manifest is the one meant; ``BundleError`` otherwise."""
    if bundle.sha256 != sha256:
        raise BundleError(
            f"The bundle in {bundle.root.name} is another one now",
            expected=f"a manifest with SHA-256 {sha256[:SHORT_HASH]}…",
            found=f"{bundle.short_hash}…",
            action="Look at it again.",
        )
    return bundle


def promotion_line(settings: Settings) -> PromotionLine:
    """The line of promotions; ``BundleError`` where its file is damaged, because then nobody knows which bundle is meant."""
    path = settings.home / POINTER_NAME
    try:
        return PromotionLine.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return PromotionLine()
    except (OSError, ValidationError) as error:
        raise BundleError(
            "The record of which bundle is active cannot be read",
            expected=f"the line of promotions in {path}",
            found=(error.strerror if isinstance(error, OSError) else None) or "a damaged file",
            action=f"Restore the file from a backup. Without the file, {SHIPPED} is active.",
        ) from error


def root_of(settings: Settings, line: PromotionLine) -> Path:
    """The folder that is active by a line; ``BundleError`` where it is gone or holds another bundle than was promoted."""
    if not line.promotions:
        return settings.bundle_dir
    last = line.promotions[-1]
    root = settings.bundles_dir / last.folder
    try:
        sha256, found = read_manifest(root)[1], "another bundle"
    except BundleError as error:
        sha256, found = "", error.found
    if sha256 != last.sha256:
        raise BundleError(
            f"The bundle that was promoted is not in its folder {root}", expected=last.label, found=found, action=WAY_BACK
        )
    return root


def active_bundle(settings: Settings) -> ActiveBundle:
    """What is active now. Quick: it reads the manifest and proves nothing.

    Raises
    ------
    BundleError
        If the line of promotions is damaged, or the bundle promoted last is gone or another one: nothing takes its place
        silently.
    """
    line = promotion_line(settings)
    root = root_of(settings, line)
    return ActiveBundle(root, *read_manifest(root), line)


def active_root(settings: Settings) -> Path:
    """The folder of the active bundle; raises as ``active_bundle``."""
    return root_of(settings, promotion_line(settings))


@contextmanager
def changing(settings: Settings) -> Iterator[PromotionLine]:
    """The line of promotions, while no other process and no other thread can change it.

    The lock is the operating system's: a killed process leaves it open.

    Raises
    ------
    PromotionRefused
        If somebody else changes it for longer than ten seconds, or the lock cannot be made.
    """
    lock = FileLock(settings.home / LOCK_NAME, timeout=LOCK_PATIENCE_S, thread_local=False)
    try:
        settings.home.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise PromotionRefused(
            "Somebody else is promoting or rolling back at this moment", action="Wait a moment and look at the page again."
        ) from error
    except OSError as error:
        raise PromotionRefused(
            f"{settings.home / LOCK_NAME} cannot be locked", found=error.strerror or "", action="Let the app write there."
        ) from error
    try:
        yield promotion_line(settings)
    finally:
        lock.release()


def write_line(settings: Settings, line: PromotionLine) -> None:
    """Make a line the one that counts, within ``changing``: whole and on the disk, or not at all (``PromotionRefused``)."""
    path = settings.home / POINTER_NAME
    try:
        with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as stream:
            stream.write(line.model_dump_json(indent=2))
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise PromotionRefused(
            f"{path} cannot be written", found=error.strerror or "", action="Free some space, or let the app write there."
        ) from error
