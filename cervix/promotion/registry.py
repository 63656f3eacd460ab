"""A registry: a list of bundles that an installation may add, as a JSON file on this server or at an address."""

from codecs import BOM_UTF8
from ipaddress import ip_address
from itertools import pairwise
from pathlib import Path
from socket import inet_aton
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from cervix.bundle.manifest import Sha256
from cervix.errors import DownloadFailed, RegistryRefused
from cervix.people import is_loopback
from cervix.promotion.candidates import UNPACKED_LIMIT_BYTES
from cervix.settings import Settings
from cervix.sources.downloads import Downloader

SERVICE: Final = "The registry"
REGISTRY_BYTES_AT_MOST: Final = 1 << 20
BUNDLES_AT_MOST: Final = 1000
PLACE_AT_MOST: Final = 80
ATTEMPTS: Final = 2
"""Somebody waits for the list, and can ask again."""


def _one_line(text: str) -> str:
    if not text.isprintable():
        raise ValueError("expected one line of plain text")
    return text


Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), AfterValidator(_one_line)]


class Listed(BaseModel):
    """A bundle of a registry.

    ``name`` and ``version`` are those of its manifest; ``sha256`` and ``bytes`` those of the zip at ``url``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Line
    version: Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z][0-9A-Za-z.+-]{0,39}$")]
    url: Annotated[str, StringConstraints(max_length=2000)]
    sha256: Sha256
    bytes: Annotated[int, Field(gt=0, le=UNPACKED_LIMIT_BYTES)]
    summary: Line
    licence: Line

    @property
    def label(self) -> str:
        """Name and version."""
        return f"{self.name} {self.version}"

    @model_validator(mode="after")
    def _has_an_address(self) -> "Listed":
        if not is_address(self.url):
            raise ValueError("url: expected an address with https and without a password, or with http of this computer")
        return self


class Registry(BaseModel):
    """Every bundle once by name and version, and every zip once; the newest of a name last."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bundles: Annotated[tuple[Listed, ...], Field(max_length=BUNDLES_AT_MOST)]

    @model_validator(mode="after")
    def _each_once(self) -> "Registry":
        labels = sorted((bundle.name, bundle.version) for bundle in self.bundles)
        if any(one == other for one, other in pairwise(labels)):
            raise ValueError("a bundle is listed twice by one name and version")
        if len({bundle.sha256 for bundle in self.bundles}) < len(self.bundles):
            raise ValueError("one zip is listed as two bundles")
        return self

    def find(self, asked: str) -> Listed:
        """The bundle that ``NAME`` or ``NAME@VERSION`` means; of several versions the last of the list.

        Raises ``RegistryRefused`` where there is none.
        """
        fits = [bundle for bundle in self.bundles if asked in (bundle.name, f"{bundle.name}@{bundle.version}")]
        if not fits:
            raise RegistryRefused(
                "The registry lists no such bundle",
                expected=", ".join(f"{bundle.name}@{bundle.version}" for bundle in self.bundles[:5]) or "nothing: it is empty",
                found=asked[:100],
                action="See what there is: python -m cervix bundle registry.",
            )
        return fits[-1]


def is_address(text: str) -> bool:
    """Whether something may be had from there: by https, or by http from this computer; no user, password or fragment."""
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return False
    plain = parts.username is None and parts.password is None and not parts.fragment and bool(host) and text.isprintable()
    return plain and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host)))


def read_registry(settings: Settings) -> Registry:
    """The registry that ``CERVIX_BUNDLE_REGISTRY`` names.

    Raises
    ------
    RegistryRefused
        None is named, it cannot be read, or it is no such list.
    DownloadFailed
        It lies elsewhere and cannot be had, or the network may not be used.
    """
    where = settings.bundle_registry.strip()
    if not where:
        raise RegistryRefused(
            "No registry is named",
            expected="CERVIX_BUNDLE_REGISTRY: a file, or an address with https",
            action="Set it, or bring a bundle as a zip.",
        )
    remote = "://" in where
    content = _asked(where, settings) if remote else _read(Path(where))
    try:
        # Editors of Windows begin a text with the mark.
        registry = Registry.model_validate_json(content.removeprefix(BOM_UTF8))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        # Names of fields are the list's own: as text of one line, and not at any length.
        place = ascii(".".join(str(part) for part in first["loc"]))[1:-1][:PLACE_AT_MOST] or "the whole list"
        raise RegistryRefused(
            f"The registry is no list of bundles at {place}",
            expected="bundles, each with name, version, url, sha256, bytes, summary and licence",
            found=first["msg"],
            action="Ask whoever keeps it.",
        ) from error
    if remote:
        for bundle in registry.bundles:
            _require_no_nearer(bundle.url, where)
    return registry


def _require_no_nearer(url: str, where: str) -> None:
    """A list from elsewhere must not make this server ask itself, or what only this server can reach."""
    for nearer, what in ((_is_here, "this computer"), (_is_inside, "a private network")):
        if nearer(url) and not nearer(where):
            raise RegistryRefused(
                f"The registry names an address of {what}, and comes from another one",
                expected="addresses with https that others can reach",
                found=f"one of {what}",
                action="Ask whoever keeps it.",
            )


def _is_here(address: str) -> bool:
    return is_loopback((urlsplit(address).hostname or "").rstrip("."))


def _is_inside(address: str) -> bool:
    """Whether a number stands there that is not everybody's, in any form that the system takes for one: 10.0.0.1, 127.1, 0."""
    host = urlsplit(address).hostname or ""
    try:
        number = ip_address(host)
    except ValueError:
        try:
            number = ip_address(inet_aton(host))
        except OSError:
            return _is_here(address)
    return not number.is_global


def _read(path: Path) -> bytes:
    try:
        with path.expanduser().open("rb") as stream:
            content = stream.read(REGISTRY_BYTES_AT_MOST + 1)
    except (OSError, RuntimeError) as error:  # RuntimeError: ~ of somebody who has no home
        raise RegistryRefused(
            "The registry cannot be read",
            expected="the file that CERVIX_BUNDLE_REGISTRY names",
            found=(error.strerror if isinstance(error, OSError) else None) or "no file",
            action="Name the right file.",
        ) from error
    if len(content) > REGISTRY_BYTES_AT_MOST:
        raise RegistryRefused("The registry is too long", expected=f"{REGISTRY_BYTES_AT_MOST:,} bytes at most", found="more")
    return content


def _asked(address: str, settings: Settings) -> bytes:
    if not is_address(address):
        raise RegistryRefused(
            "CERVIX_BUNDLE_REGISTRY is no address that is asked",
            expected="https and no password in it, or http of this computer",
            found="another",
            action="Use a file or an address with https.",
        )
    require_network(settings)
    with Downloader(SERVICE, attempts=ATTEMPTS, read_timeout_s=settings.sample_timeout_s) as service:
        return service.read(address, "the list of bundles", accept="application/json", at_most_bytes=REGISTRY_BYTES_AT_MOST)


def require_network(settings: Settings) -> None:
    """``DownloadFailed`` where this server may not use the network."""
    if settings.offline:
        raise DownloadFailed(
            "The registry is not asked",
            found="the network may not be used (CERVIX_OFFLINE)",
            action="Bring the bundle as a zip.",
        )
