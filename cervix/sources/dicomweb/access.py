"""Which archive may be asked, and what it is told of this server."""

import re
from base64 import b64encode
from threading import Event
from typing import Final
from urllib.parse import urlsplit

from requests import PreparedRequest
from requests.auth import AuthBase

from cervix.errors import ArchiveRefused
from cervix.people import is_loopback
from cervix.settings import Settings
from cervix.sources.dicomweb.client import ATTEMPTS, Archive

SET_UP: Final = "Whoever runs this server can correct it; then start the app again."


def archive_of(settings: Settings, *, attempts: int = ATTEMPTS, cancel: Event | None = None) -> Archive:
    """The archive that the settings name.

    Raises
    ------
    ArchiveRefused
        If there is none, the address cannot be used, or what this server says of itself would travel where others can read it.
        No setting is repeated.
    """
    address = settings.archive_url
    token, password = settings.dicomweb_token.get_secret_value().strip(), settings.dicomweb_password.get_secret_value()
    if not address:
        raise _not_set_up("There is no archive to ask", "CERVIX_DICOMWEB_URL, and a network that may be used", "neither")
    try:
        parts = urlsplit(address)
        host, plain = parts.hostname or "", parts.scheme in ("http", "https") and parts.port != 0
    except ValueError:  # a port or brackets that are none
        host, plain = "", False
    if not plain or not host or set("?#\\") & set(address) or not address.isprintable() or " " in address:
        raise _not_set_up("CERVIX_DICOMWEB_URL is no address", "one such as https://archive.example/dicom-web", "another")
    if parts.username is not None or parts.password is not None:
        raise _not_set_up("CERVIX_DICOMWEB_URL holds a user", "user and password in settings of their own", "them in it")
    if token and (settings.dicomweb_user or password):
        raise _not_set_up("There are two ways to say who this server is", "a token, or a user and a password", "both")
    if token and not re.fullmatch(r"[\x21-\x7e]+", token):
        raise _not_set_up("CERVIX_DICOMWEB_TOKEN is no token", "letters, digits and signs", "other characters")
    if (password and not settings.dicomweb_user) or ":" in settings.dicomweb_user:
        raise _not_set_up("CERVIX_DICOMWEB_USER is no user", "a name without a colon", "none, or one with a colon")
    authorization = f"Bearer {token}" if token else ""
    if settings.dicomweb_user:
        # RFC 7617, with UTF-8.
        authorization = f"Basic {b64encode(f'{settings.dicomweb_user}:{password}'.encode()).decode('ascii')}"
    if authorization and parts.scheme == "http" and not is_loopback(host):
        raise _not_set_up(
            "The archive's address would let others read token or password",
            "https, or an address of this computer",
            "http to another one",
        )
    return Archive(
        address, _Authorization(authorization), timeout_s=settings.dicomweb_timeout_s, attempts=attempts, cancel=cancel
    )


def _not_set_up(problem: str, expected: str, found: str) -> ArchiveRefused:
    return ArchiveRefused(problem, expected=expected, found=found, action=SET_UP)


class _Authorization(AuthBase):
    """Always the same header, or none: what a ``.netrc`` may hold is not meant for the archive."""

    def __init__(self, value: str) -> None:
        self._value = value

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        if self._value:
            request.headers["Authorization"] = self._value
        return request
