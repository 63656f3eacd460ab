"""Files are held up to so many bytes, whatever their number."""

from cervix.held import Held, HeldFiles


def test_what_was_used_longest_ago_is_let_go_when_the_bytes_do_not_fit() -> None:
    held = HeldFiles(10)
    held.keep("first", b"1234")
    held.keep("second", b"1234")
    assert held.find("first") == b"1234"
    held.keep("third", b"1234")
    assert [held.find(key) is not None for key in ("first", "second", "third")] == [True, False, True]


def test_a_file_larger_than_all_is_made_and_not_held() -> None:
    held = HeldFiles(10)
    assert held.keep("large", bytes(11)) == bytes(11)
    assert held.find("large") is None


def test_what_nobody_asked_for_long_enough_takes_no_room_any_more() -> None:
    now = [0.0]
    held: Held[bytes] = Held(100, len, idle_s=10.0, clock=lambda: now[0])
    held.keep("asked for", b"a")
    held.keep("forgotten", b"b")
    now[0] = 9.0
    assert held.find("asked for") == b"a"
    now[0] = 18.0
    assert held.find("asked for") == b"a"
    assert list(held._things) == ["asked for"]
