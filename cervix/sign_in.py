"""Whether people sign in here, and whether that can work."""

import time
from collections.abc import Mapping
from importlib.util import find_spec
from urllib.parse import urlsplit

from cervix.errors import SignInError
from cervix.people import check_lists
from cervix.settings import Settings

NEEDED = ("redirect_uri", "cookie_secret", "client_id", "client_secret", "server_metadata_url")
"""What the section ``[auth]`` must hold for Streamlit's ``st.login`` with one provider."""
CALLBACK = "/oauth2callback"
# Who guesses it can sign a cookie that names anybody. 32 characters are what the manual's command makes at least.
SECRET_AT_LEAST = 32
PACKAGES = ("authlib", "httpx2")
PROVIDER_ANSWERS_WITHIN_S = 5.0
AGAIN = "Correct secrets.toml and start the app again."


def is_on(section: object, settings: Settings) -> bool:
    """Whether people must sign in before they see anything.

    Parameters
    ----------
    section : object
        ``[auth]`` of Streamlit's ``secrets.toml``; None where there is none.

    Raises
    ------
    SignInError
        If it is meant to be on but is not set up completely. Nothing may be shown then.
    """
    check_lists(settings)
    if section is None:
        if settings.admins or settings.readers or settings.role_claim:
            raise SignInError(
                "Roles are given, but nobody can sign in",
                expected="a section [auth] in secrets.toml",
                found="none",
                action="Set sign-in up, or unset CERVIX_ADMINS, CERVIX_READERS and CERVIX_ROLE_CLAIM.",
            )
        return False
    values: Mapping[str, object] = section if isinstance(section, Mapping) else {}
    missing = [key for key in NEEDED if not (isinstance(values.get(key), str) and values[key])]
    if missing:
        raise SignInError(
            "Sign-in is not set up completely",
            expected=f"{', '.join(NEEDED)} in the section [auth] of secrets.toml",
            found=f"no {', no '.join(missing)}",
            action=AGAIN,
        )
    if len(str(values["cookie_secret"])) < SECRET_AT_LEAST:
        raise SignInError(
            "The cookie_secret of sign-in could be guessed",
            expected=f"at least {SECRET_AT_LEAST} random characters",
            found=f"{len(str(values['cookie_secret']))}",
            action=AGAIN,
        )
    if not _origin(str(values["redirect_uri"])) or not str(values["redirect_uri"]).endswith(CALLBACK):
        raise SignInError(
            "The redirect_uri of sign-in leads nowhere",
            expected=f"this app's own address, https://…{CALLBACK}",
            found="another form",
            action=AGAIN,
        )
    lacking = [package for package in PACKAGES if find_spec(package) is None]
    if lacking:
        raise SignInError(
            "Sign-in cannot work here",
            expected=f"the packages {' and '.join(PACKAGES)}",
            found=f"no {', no '.join(lacking)}",
            action="Install what requirements.txt names and start the app again.",
        )
    return True


def has_lapsed(claims: Mapping[str, object], settings: Settings) -> bool:
    """Whether a sign-in is older than ``sign_in_hours``, by ``iat``, when its token was made (seconds since 1970, UTC)."""
    made = claims.get("iat")
    return not (isinstance(made, int | float) and time.time() - made <= settings.sign_in_hours * 3600)


def home_of(section: Mapping[str, object]) -> str:
    """The only address at which sign-in works: browsers give cookies back to the host that they came from."""
    return _origin(str(section["redirect_uri"]))


def check_provider(section: Mapping[str, object]) -> None:
    """Ask the provider for its description, as ``st.login`` will; ``SignInError`` where it cannot be had."""
    # Only whoever signs in needs it; importing it takes longer than all the rest here.
    import httpx2

    try:
        answer = httpx2.get(str(section["server_metadata_url"]), timeout=PROVIDER_ANSWERS_WITHIN_S)
        described = "authorization_endpoint" in answer.raise_for_status().json()
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError, TypeError):
        described = False
    if not described:
        raise SignInError(
            "The sign-in provider does not answer as it should",
            action="Try again in a minute. If that does not help, whoever runs this app has to look at it.",
        )


def _origin(address: str) -> str:
    """Scheme and host of a web address; empty where it is none."""
    try:
        parts = urlsplit(address)
        whole = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # a port that is no number, for one
        return ""
    return f"{parts.scheme}://{parts.netloc}" if whole else ""
