"""Who uses a session, and what they may do."""

import string
from collections.abc import Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Literal, get_args

from cervix.errors import SignInError
from cervix.settings import Settings

Role = Literal["viewer", "reader", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
"""Each may what those before it may."""
NAME_AT_MOST = 200
# Only A to Z: ``str.lower`` also turns the Kelvin sign into an ordinary k, and so one address into somebody else's.
LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


@dataclass(frozen=True)
class Person:
    """Whoever uses a session.

    Attributes
    ----------
    name : str
        As the label store knows them: the address they signed in with, or a local reader's name.
    role : Role
        A viewer looks, a reader labels too, an admin also adjudicates, retrains, promotes and rolls back.
    anybody : bool
        Nothing is known of them: nobody signs in, and others can reach the server. Never more than a viewer.
    plays : bool
        They are in a sandbox: admins of what lies there, who bring nothing in, take nothing out and start no trainer.
    """

    name: str
    role: Role
    anybody: bool = False
    plays: bool = False

    @property
    def may_browse(self) -> bool:
        """See what others brought: inbox folders and recent slides."""
        return self.role in ("reader", "admin")

    @property
    def may_label(self) -> bool:
        return self.role in ("reader", "admin")

    @property
    def may_bring_bundles(self) -> bool:
        """Have a bundle of their own loaded, which runs its graphs."""
        return self.role in ("reader", "admin") and not self.plays

    @property
    def may_add_bundles(self) -> bool:
        """Have a bundle of the registry fetched and kept on this server."""
        return self.role == "admin" and not self.plays

    @property
    def may_take_labels(self) -> bool:
        """Take the labels along, which name readers and hold their comments."""
        return not (self.anybody or self.plays)

    @property
    def may_delete(self) -> bool:
        """Delete an uploaded slide, or mark it to be kept."""
        return not self.anybody

    @property
    def may_decide(self) -> bool:
        """Adjudicate, promote, roll back."""
        return self.role == "admin"

    @property
    def may_retrain(self) -> bool:
        """Start and stop the trainer, a process of the server."""
        return self.role == "admin" and not self.plays

    @property
    def may_run_archive(self) -> bool:
        """Have whole folders or archives scored: start, pause and stop such a run."""
        return self.role == "admin" and not self.plays

    @property
    def may_store(self) -> bool:
        """Put objects into the hospital's archive."""
        return self.role == "admin" and not self.plays

    def in_a_sandbox(self) -> "Person":
        """The same person at play."""
        return replace(self, role="admin", anybody=False, plays=True)


Reach = Literal["alone", "exposed", "demo room"]
"""Who can reach a server on which nobody signs in: this computer alone, or others; those may look, or do everything."""


def reach_of(address: str | None, settings: Settings) -> Reach:
    """Who can reach this server, where nobody signs in.

    Parameters
    ----------
    address : str or None
        The address that the server listens on; None or an empty text for every one. Names in ``CERVIX_HOSTS`` count as
        well: behind a proxy on the same computer the server itself listens on a loopback address.
    """
    if address and all(is_loopback(name) for name in (address, *settings.hosts)):
        return "alone"
    return "demo room" if settings.open_demo_room else "exposed"


def is_loopback(name: str) -> bool:
    """Whether a name or address always means this computer (RFC 6761, section 6.3; RFC 6890).

    A socket that takes both kinds of address shows an IPv4 one within an IPv6 one (RFC 4291, section 2.5.5.2).
    """
    try:
        address = ip_address(name.strip("[]"))
    except ValueError:
        return name == "localhost"
    return ((address.version == 6 and address.ipv4_mapped) or address).is_loopback


def local_person(name: str, address: str | None, settings: Settings) -> Person:
    """Whoever uses a server on which nobody signs in: on this computer alone, or in a demo room, they may do everything.

    Elsewhere nothing is known of them, and they are viewers.
    """
    if reach_of(address, settings) == "exposed":
        return Person(settings.reader, "viewer", anybody=True)
    return Person(name or settings.reader, "admin")


def usable_name(name: str) -> str:
    """A name without blanks around it; empty where it is longer than ``NAME_AT_MOST`` or holds what cannot be printed."""
    name = name.strip()
    return name if len(name) <= NAME_AT_MOST and name.isprintable() else ""


def usable_address(address: str) -> str:
    """An e-mail address in small letters; empty where it is none, or no usable name."""
    before, at, domain = usable_name(address).translate(LOWER).partition("@")
    if not before or not domain or "@" in domain or " " in before + domain:
        return ""
    return before + at + domain


def person_of(claims: Mapping[str, object], settings: Settings) -> Person:
    """Whoever a sign-in provider vouches for.

    The name is the address, else the subject. Of all roles that the settings' lists and the claim ``role_claim`` give, the
    highest counts; whoever is given none is a viewer, and so is everybody whose address the provider has not verified. A
    provider that does not say whether it has is taken to vouch for its addresses.

    Parameters
    ----------
    claims : mapping
        Of an OpenID Connect ID token: ``sub``, ``email`` and ``email_verified`` (OpenID Connect Core 1.0, section 5.1).

    Raises
    ------
    SignInError
        If there is neither a usable address nor a usable subject.
    """
    address = usable_address(_text(claims.get("email")))
    name = address or usable_name(_text(claims.get("sub")))
    if not name:
        raise SignInError(
            "The sign-in provider names nobody",
            expected=f"the claim email or sub, with up to {NAME_AT_MOST} printable characters",
            found="neither",
            action="Whoever runs the provider can tell which claims it gives to this app.",
        )
    given: list[object] = ["viewer"]
    # Some providers write it as a string.
    if claims.get("email_verified", True) in (True, "true"):
        given += [role for role, listed in _lists(settings) if _is_listed(address, listed)]
        claimed = claims.get(settings.role_claim) if settings.role_claim else None
        given += claimed if isinstance(claimed, list) else [claimed]
    return Person(name, next(role for role in reversed(ROLES) if role in given))


def check_lists(settings: Settings) -> None:
    """``SignInError`` where a list of people holds something that is neither an address nor a domain."""
    for role, listed in _lists(settings):
        for place, entry in enumerate(listed, 1):
            if not usable_address(f"anybody{entry}" if entry.startswith("@") else entry):
                raise SignInError(
                    f"Entry {place} of CERVIX_{role.upper()}S names nobody",
                    expected="an e-mail address or @domain",
                    found=f"{len(entry)} other characters",
                    action="Correct it and start the app again.",
                )


def _lists(settings: Settings) -> tuple[tuple[Role, tuple[str, ...]], ...]:
    return ("reader", settings.readers), ("admin", settings.admins)


def _is_listed(address: str, listed: tuple[str, ...]) -> bool:
    _, at, domain = address.partition("@")
    return bool(address) and any(entry.translate(LOWER) in (address, at + domain) for entry in listed)


def _text(claim: object) -> str:
    return claim if isinstance(claim, str) else ""
