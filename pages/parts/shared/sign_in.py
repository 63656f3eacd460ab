"""The sign-in page, and signing out."""

from collections.abc import Mapping
from typing import cast
from urllib.parse import urlsplit

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from cervix import RESEARCH_NOTICE
from cervix.errors import SignInError
from cervix.people import Role, reach_of
from cervix.plain_text import escaped
from cervix.settings import get_settings
from cervix.sign_in import check_provider, home_of
from cervix.web import let_in, shut_out, slide_tokens, upload_tokens
from pages.parts.shared.people import known_person, listened_on, person, sign_in_section

MAY: dict[Role, str] = {
    "viewer": "You may score slides and tables that you bring, and read every page.",
    "reader": "You may score, open inbox folders and recent slides, and label cases.",
    "admin": "You may do everything: label, adjudicate, retrain, promote and roll back.",
}
EXPOSED = (
    "Others can reach this server and nobody signs in, so everybody here is a viewer: labelling, exporting labels, "
    "deleting, retraining and promoting are closed. The operator opens them by setting up sign-in (operations manual, "
    "“Sign-in and roles”) or, for a demo room where everybody is trusted, by starting it with `CERVIX_OPEN_DEMO_ROOM=true`."
)
DEMO_ROOM = (
    "**Demo room.** Whoever reaches this server may do everything, under any name: label, delete, retrain, promote. Do "
    "not bring anything here that matters."
)
NAME_SHOWN = 32


def is_open() -> bool:
    """Whether this session may see the pages; only then are files taken from it."""
    try:
        known = known_person() is not None
    except SignInError:
        known = False
    (let_in if known else shut_out)(_session_id())
    return known


def _session_id() -> str:
    running = get_script_run_ctx()
    return running.session_id if running else ""


def show_sign_in() -> None:
    """All that somebody sees who is not signed in: what this is, the notice, the button, or why there is none."""
    st.title("Cervix Workbench", anchor=False)
    st.warning(f"**{RESEARCH_NOTICE}**", icon=":material/science:")
    try:
        known_person()
        _show_way_in(cast(Mapping[str, object], sign_in_section()))
    except SignInError as error:
        st.error(escaped(str(error)), icon=":material/lock:")
        if st.user.get("is_logged_in"):
            _show_way_out()


def _show_way_in(section: Mapping[str, object]) -> None:
    home, here = home_of(section), urlsplit(str(st.context.url or ""))
    if here.netloc and f"{here.scheme}://{here.netloc}" != home:
        st.info(f"Signing in works at this app's own address only: {home}", icon=":material/link:")
        return
    hours = f"{get_settings().sign_in_hours:g} h"
    st.write(
        f"You signed in more than {hours} ago; please sign in again."
        if st.user.get("is_logged_in")
        else "Slides and tables are shown to people who signed in."
    )
    if st.button("Sign in", type="primary", icon=":material/login:", key="sign_in"):
        with st.spinner("Asking the sign-in provider …"):
            check_provider(section)
        st.login()


def show_reach() -> None:
    """Where nobody signs in though others can reach the server: what that means for everybody here."""
    if sign_in_section() is not None:
        return
    reach = reach_of(listened_on(), get_settings())
    if reach == "exposed":
        st.info(EXPOSED, icon=":material/lock_open_right:")
    elif reach == "demo room":
        st.warning(DEMO_ROOM, icon=":material/lock_open_right:")


def show_who() -> None:
    """Name, role and the way out; nothing where nobody signs in."""
    if sign_in_section() is None:
        return
    who = person()
    with st.popover(
        f"{escaped(who.name, NAME_SHOWN)} · {who.role}", icon=":material/account_circle:", type="tertiary", key="who"
    ):
        st.text(who.name)
        st.caption(MAY[who.role])
        _show_way_out()


def _show_way_out() -> None:
    if st.button("Sign out", icon=":material/logout:", key="sign_out"):
        # Addresses of map tiles and uploads lie outside Streamlit's sign-in: they end with it.
        for token in st.session_state.get("tokens", {}).values():
            slide_tokens.revoke(token)
            upload_tokens.revoke(token)
        shut_out(_session_id())
        st.logout()
