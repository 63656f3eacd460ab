"""Who uses this session."""

import streamlit as st
from streamlit.errors import StreamlitSecretNotFoundError

from cervix.errors import SignInError
from cervix.people import Person, local_person, person_of
from cervix.plain_text import escaped
from cervix.settings import get_settings
from cervix.sign_in import has_lapsed, is_on
from pages.parts.shared.sandbox import in_sandbox


def sign_in_section() -> object:
    """``[auth]`` of Streamlit's secrets; None where there is none. ``SignInError`` where there are secrets but not readable."""
    try:
        return st.secrets["auth"]
    except KeyError:
        return None
    except (OSError, ValueError) as error:
        # Streamlit raises the same error for a file that is not there and for one that it cannot parse. Behind the second
        # there may be a wish for sign-in.
        if isinstance(error, StreamlitSecretNotFoundError) and error.error_id == "no-secrets-found":
            return None
        raise SignInError(
            "secrets.toml cannot be read",
            expected="TOML that this server may read",
            action="Correct it and start the app again.",
        ) from error


def listened_on() -> str | None:
    """The address that this server listens on; None for every one."""
    address: str | None = st.get_option("server.address")
    return address


def known_person() -> Person | None:
    """Whoever uses this session; None where people sign in and nobody has, or not lately.

    Without sign-in that is a local reader, under the name they gave themselves, who may do everything as long as nobody else
    can reach the server. ``SignInError`` where sign-in is not set up as it must be.
    """
    settings = get_settings()
    if not is_on(sign_in_section(), settings):
        known = local_person(st.session_state.get("reader_name", ""), listened_on(), settings)
    else:
        claims = st.user.to_dict()
        if claims.get("is_logged_in") is not True or has_lapsed(claims, settings):
            return None
        known = person_of(claims, settings)
    return known.in_a_sandbox() if in_sandbox() else known


def person() -> Person:
    """The same, on a page: where nobody is known, the run ends there."""
    try:
        known = known_person()
    except SignInError as error:
        st.error(escaped(str(error)), icon=":material/lock:")
        known = None
    if known is None:
        st.stop()
    return known
