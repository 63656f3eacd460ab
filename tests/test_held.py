"""Files are held up to so many bytes, whatever their number."""

from cervix.held import HeldFiles


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
