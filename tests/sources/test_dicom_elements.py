"""A DICOM file is walked element by element, whatever its encoding, and damage ends the walk with an error that is expected."""

import io
import struct
import zlib

import pytest

from cervix.sources.dicom_elements import (
    DEFLATED,
    DEPTH_AT_MOST,
    INFLATED_BYTES_AT_MOST,
    PIXEL_DATA,
    TRANSFER_SYNTAX,
    UNDEFINED,
    Walk,
)

HEAD = b"\0" * 128 + b"DICM"
ITEM, ITEM_END, SEQUENCE_END = (struct.pack("<HHI", 0xFFFE, number, length) for number, length in
                                ((0xE000, UNDEFINED), (0xE00D, 0), (0xE0DD, 0)))  # fmt: skip
SEQUENCE, UNKNOWN = (struct.pack("<HH2sHI", 0x0040, 0x0560, kind, 0, UNDEFINED) for kind in (b"SQ", b"UN"))
NAME = struct.pack("<HH2sH", 0x0040, 0x0551, b"LO", 4) + b"word"


def walk(body: bytes, *, elements_at_most: int = 1000) -> Walk:
    return Walk(io.BytesIO(HEAD + body), elements_at_most=elements_at_most)


def test_each_element_is_told_with_its_place_and_what_it_is_in() -> None:
    walked = walk(SEQUENCE + ITEM + NAME + ITEM_END + SEQUENCE_END + NAME)
    nested, top = [(element, walked.text(element)) for element in walked.elements() if element.kind == b"LO"]
    assert nested[1] == top[1] == "word"
    assert (nested[0].within, top[0].within) == (((0x0040, 0x0560),), ())


def test_a_sequence_of_unknown_kind_is_encoded_implicitly() -> None:
    implicit = struct.pack("<HHI", 0x0040, 0x0551, 4) + b"word"
    walked = walk(UNKNOWN + ITEM + implicit + ITEM_END + SEQUENCE_END + NAME)
    told = [(element.kind, walked.text(element)) for element in walked.elements() if element.length == 4]
    assert told == [(b"", "word"), (b"LO", "word")]


def test_frames_are_walked_over_and_their_end_is_known() -> None:
    pixels = struct.pack("<HH2sHI", *PIXEL_DATA, b"OB", 0, UNDEFINED)
    frames = b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(frame)) + frame for frame in (b"", b"frame1", b"frame2"))
    content = pixels + frames + SEQUENCE_END + NAME
    assert [element.length for element in walk(content).elements()] == [UNDEFINED, 0, 6, 6, 4]
    walked = walk(content)
    assert walked.end_of(next(walked.elements())) == len(HEAD + content) - len(NAME)
    walked = walk(content[: len(pixels) + 26])
    assert walked.end_of(next(walked.elements())) <= len(HEAD + pixels) + 28


def deflated(body: bytes) -> bytes:
    """A file of which all but the file meta information is compressed (PS3.5 A.5)."""
    syntax = struct.pack("<HH2sH", *TRANSFER_SYNTAX, b"UI", 22) + DEFLATED.encode()
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return syntax + packer.compress(body) + packer.flush()


def test_what_is_deflated_is_walked_as_far_as_it_may_unpack() -> None:
    walked = walk(deflated(NAME * 3))
    assert [walked.text(element) for element in walked.elements()] == [DEFLATED, "word", "word", "word"]
    assert not walked.is_explicit_little
    longest = struct.pack("<HH2sHI", 0x0042, 0x0011, b"OB", 0, INFLATED_BYTES_AT_MOST) + bytes(INFLATED_BYTES_AT_MOST)
    assert [element.length for element in walk(deflated(longest + NAME)).elements()] == [22, INFLATED_BYTES_AT_MOST]
    with pytest.raises(ValueError, match="damaged compression"):
        list(walk(deflated(b"")[:-2] + b"\xff" * 9).elements())


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ((SEQUENCE + ITEM) * (DEPTH_AT_MOST + 1), ValueError),
        (NAME * 1001, ValueError),
        (SEQUENCE + NAME, ValueError),
        (SEQUENCE + ITEM + NAME, EOFError),
        (NAME[:6], EOFError),
    ],
)
def test_damage_and_what_has_no_end_are_given_up(body: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        list(walk(body).elements())
