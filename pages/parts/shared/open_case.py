"""What a page has open survives a reload: the address names it by a token, and the server holds it in memory for a while."""

from dataclasses import dataclass, field
from typing import Any, Final, Literal

import streamlit as st

from cervix.held import Held
from cervix.samples.cases import Case, Page, cases_by_id
from cervix.web.tokens import TOKEN_LIFETIME_S, TokenRegistry
from pages.parts.shared.people import person

OPEN, CASE, SLIDE_VIEW = "open", "case", "slide_view"
Kind = Literal["slide", "list", "tumours"]
ADDRESS: Final[dict[Kind, str]] = {"slide": OPEN, "list": OPEN, "tumours": "tumours"}
"""Under which name the address has the token of each kind: a slide and the tumours beside it have one each."""
STAYS: Final = (SLIDE_VIEW, *dict.fromkeys(ADDRESS.values()))
"""What of an address is not of the way here, and outlives what is opened."""
HELD_BYTES = 256 << 20
# Tokens and what a page says of a slide take less than this each.
SMALL = 2_000


@dataclass(frozen=True)
class Opened:
    """What a page had open, and who opened it.

    Attributes
    ----------
    facts : what the page needs to open it again, by name
    content : a table that somebody brought; empty for what lies on the server
    """

    kind: Kind
    who: str
    facts: dict[str, Any] = field(default_factory=dict)
    content: bytes = b""


_tokens: TokenRegistry[None] = TokenRegistry()
_held: Held[Opened] = Held(HELD_BYTES, lambda opened: SMALL + len(opened.content), TOKEN_LIFETIME_S)


def keep_open(kind: Kind, facts: dict[str, Any], content: bytes = b"") -> None:
    """Let a reload of this page find what it has open; to be called in every run that has something open.

    It is held in memory until nobody has asked for it for eight hours or others need the room, and only whoever opened it
    may open it again. The address holds a token and nothing of what is open.
    """
    now = Opened(kind, person().name, facts, content)
    key = f"open_token_{kind}"
    token = st.session_state.get(key, "")
    if not token or _held.find(token) is None:
        token = st.session_state[key] = _tokens.grant(None)
    if _held.find(token) != now:
        _held.keep(token, now)
    name = ADDRESS[kind]
    if st.query_params.get(name) != token:
        st.query_params.from_dict(
            {other: st.query_params[other] for other in STAYS if other in st.query_params} | {name: token}
        )


def forget_open(kind: Kind) -> None:
    """Nothing is open any more, and the server holds nothing of it."""
    token = st.session_state.pop(f"open_token_{kind}", "")
    _tokens.revoke(token)
    _held.drop(token)
    st.query_params.pop(ADDRESS[kind], None)


def open_again(kind: Kind) -> Opened | None:
    """After a reload: what the address names, once a session. None where it names nothing, or nothing that is still held."""
    token = str(st.query_params.get(ADDRESS[kind], ""))
    key = f"open_token_{kind}"
    if not token or st.session_state.get(key):
        return None
    opened = _held.find(token) if _tokens.granted(token) else None
    if opened is None or opened.kind != kind or opened.who != person().name:
        st.query_params.pop(ADDRESS[kind], None)
        return None
    st.session_state[key] = token
    return opened


def case_asked_for(page: Page) -> Case | None:
    """The case of the shelf that the address names, once; the address then names what is open."""
    asked = str(st.query_params.pop(CASE, ""))
    case = cases_by_id().get(asked)
    return case if case is not None and case.page == page else None
