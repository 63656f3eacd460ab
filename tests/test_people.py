"""Who somebody is and what he may do follows from what the sign-in provider says and from the settings, and nothing else."""

import os
from typing import Any

import pytest

from cervix.errors import SignInError
from cervix.people import NAME_AT_MOST, Person, check_lists, local_person, person_of, reach_of
from cervix.settings import Settings

KELVIN, CYRILLIC_A, FULLWIDTH_A, OVERRIDE = "\u212a", "\u0430", "\uff41", "\u202e"


def signed_in(lists: dict[str, Any] | None = None, **claims: object) -> Person:
    return person_of({"sub": "7f3a"} | claims, Settings(**(lists or {})))


@pytest.mark.parametrize(
    ("role", "browses", "labels", "decides"),
    [("viewer", False, False, False), ("reader", True, True, False), ("admin", True, True, True)],
)
def test_each_role_may_what_those_below_it_may(role: Any, browses: bool, labels: bool, decides: bool) -> None:
    someone = Person("ada@ward.example", role)
    assert (someone.may_browse, someone.may_label, someone.may_decide) == (browses, labels, decides)
    assert someone.may_store == decides
    assert not someone.in_a_sandbox().may_store


def test_addresses_and_domains_give_roles_and_everybody_else_is_a_viewer() -> None:
    lists = {"readers": "@ward.example, guest@elsewhere.example", "admins": "chief@hospital.example"}
    for address, role in [
        ("ada@ward.example", "reader"),
        ("guest@elsewhere.example", "reader"),
        ("chief@hospital.example", "admin"),
        ("other@elsewhere.example", "viewer"),
        ("chief@ward.example", "reader"),
    ]:
        assert signed_in(lists, email=address) == Person(address, role)


def test_lists_are_separated_by_commas_or_as_in_path_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CERVIX_READERS", f" a@x.example ,, b@x.example{os.pathsep}@y.example ,")
    assert Settings().readers == ("a@x.example", "b@x.example", "@y.example")
    assert Settings().admins == ()


def test_capitals_make_no_difference() -> None:
    lists = {"readers": "Ada@WARD.example", "admins": "@Hospital.Example"}
    assert signed_in(lists, email="aDA@ward.EXAMPLE") == Person("ada@ward.example", "reader")
    assert signed_in(lists, email="Chief@HOSPITAL.example").role == "admin"


def test_of_two_lists_the_higher_role_counts() -> None:
    assert signed_in({"readers": "ada@x.example", "admins": "ada@x.example"}, email="ada@x.example").role == "admin"
    assert signed_in({"readers": "ada@x.example", "admins": "@x.example"}, email="ada@x.example").role == "admin"


@pytest.mark.parametrize("verified", [False, "false", None, 0, "yes", []])
def test_an_address_that_is_not_verified_gives_no_role_whatever_else_does(verified: object) -> None:
    lists = {"admins": "ada@x.example", "role_claim": "groups"}
    assert signed_in(lists, email="ada@x.example", email_verified=verified, groups=["admin"]).role == "viewer"


@pytest.mark.parametrize("verified", [{}, {"email_verified": True}, {"email_verified": "true"}])
def test_a_verified_address_or_one_of_which_nothing_is_said_counts(verified: dict[str, object]) -> None:
    assert signed_in({"admins": "ada@x.example"}, email="ada@x.example", **verified).role == "admin"


@pytest.mark.parametrize(
    "address",
    [
        f"{KELVIN}im@x.example",  # str.lower makes an ordinary k of it
        f"{CYRILLIC_A}da@x.example",
        f"{FULLWIDTH_A}da@x.example",  # NFKC makes an ordinary a of it
        f"ada@x.exam{OVERRIDE}ple",
        "ada@x.example@elsewhere.example",
        "ada@sub.x.example",
        "ada@x.example.elsewhere.example",
        "ada@notx.example",
        "ada @x.example",
        "ada",
        "@x.example",
        "ada@",
        "",
        "   ",
    ],
)
def test_an_address_that_looks_like_a_listed_one_is_not_it(address: str) -> None:
    somebody = signed_in({"readers": "ada@x.example, kim@x.example", "admins": "ada@x.example"}, email=address)
    assert somebody.role == "viewer"
    assert somebody.name not in ("ada@x.example", "kim@x.example")


def test_a_domain_is_not_given_to_an_address_with_two_at_signs() -> None:
    assert signed_in({"admins": "@x.example"}, email="eve@elsewhere.example@x.example") == Person("7f3a", "viewer")


def test_addresses_beyond_ascii_are_listed_as_they_are_written() -> None:
    assert signed_in({"readers": "åsa@sjukhus.example"}, email="åsa@Sjukhus.example") == Person("åsa@sjukhus.example", "reader")


@pytest.mark.parametrize(
    "address", [None, 7, ["ada@x.example"], {}, "", "nobody", "a" * NAME_AT_MOST + "@x.example", "a\n@x.example"]
)
def test_where_there_is_no_usable_address_the_subject_is_the_name_and_the_lists_give_nothing(address: object) -> None:
    assert signed_in({"admins": "@x.example"}, email=address) == Person("7f3a", "viewer")


def test_a_subject_that_looks_like_a_listed_address_is_not_one() -> None:
    assert signed_in({"admins": "ada@x.example"}, sub="ada@x.example").role == "viewer"


@pytest.mark.parametrize("subject", [None, 7, "", "  ", "x" * (NAME_AT_MOST + 1), f"7f{OVERRIDE}3a"])
def test_whoever_has_no_name_at_all_is_refused_in_one_sentence(subject: object) -> None:
    with pytest.raises(SignInError, match="names nobody: expected the claim email or sub"):
        signed_in(sub=subject)


@pytest.mark.parametrize(
    ("claimed", "role"),
    [
        ("reader", "reader"),
        (["staff", "viewer", "admin", "reader"], "admin"),
        (["Admin", "administrators", {"admin": True}, None, 3], "viewer"),
        ("admin reader", "viewer"),
        ({"admin": True}, "viewer"),
        (None, "viewer"),
        ([], "viewer"),
    ],
)
def test_a_claim_gives_the_highest_role_that_it_names_exactly(claimed: object, role: str) -> None:
    assert signed_in({"role_claim": "groups"}, groups=claimed).role == role


def test_without_the_setting_no_claim_gives_a_role() -> None:
    assert signed_in(groups=["admin"], role="admin").role == "viewer"


def test_a_claim_and_a_list_give_the_higher_of_both() -> None:
    lists = {"role_claim": "groups", "readers": "ada@x.example"}
    assert signed_in(lists, email="ada@x.example", groups=["viewer"]).role == "reader"
    assert signed_in(lists, email="ada@x.example", groups=["admin"]).role == "admin"


@pytest.mark.parametrize("entry", ["ada", "@", "ada@", "a@b@c", "two words@x.example", "*", "x" * 300 + "@x.example"])
def test_a_list_with_a_slip_of_the_pen_is_refused_and_the_place_is_named(entry: str) -> None:
    with pytest.raises(SignInError, match="Entry 2 of CERVIX_ADMINS names nobody"):
        check_lists(Settings(admins=f"chief@x.example,{entry}"))


def test_lists_without_a_slip_pass() -> None:
    check_lists(Settings(readers="@x.example, ada@y.example"))
    check_lists(Settings())


@pytest.mark.parametrize(
    ("address", "hosts", "reach"),
    [
        ("127.0.0.1", "", "alone"),
        ("127.0.0.2", "", "alone"),
        ("localhost", "", "alone"),
        ("::1", "", "alone"),
        ("127.0.0.1", "localhost,[::1]", "alone"),
        ("127.0.0.1", "ward.example", "exposed"),
        ("0.0.0.0", "", "exposed"),
        ("::", "", "exposed"),
        ("10.0.0.5", "", "exposed"),
        ("ward.example", "", "exposed"),
        ("localhost.ward.example", "", "exposed"),
        ("", "", "exposed"),
        (None, "", "exposed"),
    ],
)
def test_where_nobody_signs_in_only_a_loopback_address_makes_an_admin(address: str | None, hosts: str, reach: str) -> None:
    settings = Settings(hosts=hosts)
    assert reach_of(address, settings) == reach
    someone = local_person("Ada", address, settings)
    assert someone == (Person("Ada", "admin") if reach == "alone" else Person("local reader", "viewer", anybody=True))
    assert (someone.may_decide, someone.may_delete, someone.may_take_labels) == (reach == "alone",) * 3


@pytest.mark.parametrize("address", ["0.0.0.0", None])
def test_a_demo_room_is_opened_by_hand(address: str | None) -> None:
    settings = Settings(open_demo_room=True)
    assert reach_of(address, settings) == "demo room"
    assert local_person("", address, settings) == Person("local reader", "admin")
    assert reach_of("127.0.0.1", settings) == "alone"


def test_only_readers_and_admins_bring_bundles_and_a_viewer_who_signed_in_is_somebody() -> None:
    assert [Person("Ada", role).may_bring_bundles for role in ("viewer", "reader", "admin")] == [False, True, True]
    assert [Person("Ada", role).may_add_bundles for role in ("viewer", "reader", "admin")] == [False, False, True]
    assert not Person("Ada", "admin").in_a_sandbox().may_add_bundles
    assert Person("Ada", "viewer").may_delete
