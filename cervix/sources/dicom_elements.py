"""The elements of a DICOM file, one after the other, each with the place of its value (DICOM PS3.5 and PS3.10).

Nothing but heads of elements is read, so that a file of gigabytes is walked in the memory of one of them, and a value can be
overwritten where it stands. Damage raises ``EOFError`` or ``ValueError``; what was walked before it counts.
"""

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, Final, NamedTuple

Tag = tuple[int, int]

PREAMBLE_BYTES: Final = 128
MAGIC: Final = b"DICM"
HEAD_BYTES: Final = PREAMBLE_BYTES + len(MAGIC)
META_GROUP: Final = 0x0002
TRANSFER_SYNTAX: Final = (0x0002, 0x0010)
PIXEL_DATA: Final = (0x7FE0, 0x0010)
IMPLICIT_LITTLE, DEFLATED, EXPLICIT_BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"
# PS3.5 table 7.1-1: a length of four bytes behind two that are reserved.
LONG_LENGTH: Final = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
UNDEFINED: Final = 0xFFFFFFFF
ITEM_GROUP: Final = 0xFFFE
ITEM, ITEM_END, SEQUENCE_END = (ITEM_GROUP, 0xE000), (ITEM_GROUP, 0xE00D), (ITEM_GROUP, 0xE0DD)
# Far more than any object nests; a file made to be endless is given up.
DEPTH_AT_MOST: Final = 32
INFLATED_BYTES_AT_MOST: Final = 4 << 20


class Element(NamedTuple):
    """Where an element stands.

    Attributes
    ----------
    tag : tuple of int
        Group and number.
    kind : bytes
        Its value representation, such as ``b"LO"``; empty where the file does not say (implicit encoding).
    at, length : int
        First byte of the value, and how many there are; ``UNDEFINED`` for a sequence, or frames, that end with a mark.
    within : tuple of Tag
        The sequences that it is in, the outermost first; empty at the top.
    """

    tag: Tag
    kind: bytes
    at: int
    length: int
    within: tuple[Tag, ...] = ()


class Walk:
    """One walk through a DICOM file, from behind the mark on.

    Parameters
    ----------
    stream : BinaryIO
        A file that begins with preamble and mark.
    elements_at_most : int
        After so many it is given up with ``ValueError``.
    kind_of : callable, optional
        The value representation of a tag where the file does not say it, so that its sequences are entered.
    """

    def __init__(self, stream: BinaryIO, *, elements_at_most: int, kind_of: Callable[[Tag], bytes] = lambda _: b"") -> None:
        self._stream, self._left, self._kind_of = stream, elements_at_most, kind_of
        self._order, self._explicit = "<", True
        self.transfer_syntax = ""

    def elements(self) -> Iterator[Element]:
        """Every element in the order of the file, those of sequences after their sequence, items without their own heads."""
        self._stream.seek(HEAD_BYTES)
        while self._peek()[0] == META_GROUP:
            element = self._head(())
            if element.tag == TRANSFER_SYNTAX:
                self.transfer_syntax = self.text(element)
            self._stream.seek(element.at + element.length)
            yield element
        if self.transfer_syntax == DEFLATED:
            packed = self._stream.read(INFLATED_BYTES_AT_MOST)
            try:
                self._stream = io.BytesIO(zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, INFLATED_BYTES_AT_MOST))
            except zlib.error as error:
                raise ValueError("damaged compression") from error
        self._order = ">" if self.transfer_syntax == EXPLICIT_BIG else "<"
        self._explicit = self.transfer_syntax != IMPLICIT_LITTLE
        while self._stream.read(1):
            self._stream.seek(-1, io.SEEK_CUR)
            yield from self._one(())

    def bytes_of(self, element: Element) -> bytes:
        """The value of an element; the walk goes on where it was."""
        here = self._stream.tell()
        self._stream.seek(element.at)
        value = self._read(element.length)
        self._stream.seek(here)
        return value

    def text(self, element: Element) -> str:
        """The value of an element of words, without the padding at its end."""
        return self.bytes_of(element).decode("utf-8", "replace").strip("\0 ")

    def number(self, element: Element) -> int:
        """The value of an unsigned integer of 2 or 4 bytes; ``ValueError`` for another length."""
        forms = {2: "H", 4: "I"}
        if element.length not in forms:
            raise ValueError("no single integer")
        return int(struct.unpack(self._order + forms[element.length], self.bytes_of(element))[0])

    @property
    def is_explicit_little(self) -> bool:
        """Whether elements say their value representation, in little-endian order, and are not deflated."""
        return self._explicit and self._order == "<" and self.transfer_syntax != DEFLATED

    def end_of(self, pixels: Element) -> int:
        """Where pixels end that the walk has just met; beyond the end of the file where that is cut short."""
        if pixels.length != UNDEFINED:
            return pixels.at + pixels.length
        end = pixels.at
        try:
            for fragment in self._fragments(pixels):
                end = fragment.at + fragment.length
        except EOFError:
            return end
        return self._stream.tell()

    def _one(self, within: tuple[Tag, ...]) -> Iterator[Element]:
        """An element and what is in it; behind it afterwards."""
        element = self._head(within)
        yield element
        kind = element.kind or self._kind_of(element.tag)
        if element.length == UNDEFINED and element.tag == PIXEL_DATA:
            yield from self._fragments(element)
        elif element.length == UNDEFINED or kind == b"SQ":
            explicit = self._explicit
            # PS3.5 6.2.2: a sequence of unknown kind is encoded implicitly.
            self._explicit = explicit and kind != b"UN"
            yield from self._items(element)
            self._explicit = explicit
        else:
            self._stream.seek(element.at + element.length)

    def _items(self, sequence: Element) -> Iterator[Element]:
        within = (*sequence.within, sequence.tag)
        if len(within) > DEPTH_AT_MOST:
            raise ValueError("nested too deeply")
        end = None if sequence.length == UNDEFINED else sequence.at + sequence.length
        while end is None or self._stream.tell() < end:
            item = self._head(within)
            if item.tag == SEQUENCE_END:
                return
            if item.tag != ITEM:
                raise ValueError("no item where one is expected")
            item_end = None if item.length == UNDEFINED else item.at + item.length
            while item_end is None or self._stream.tell() < item_end:
                if self._peek() == ITEM_END:
                    self._head(within)
                    break
                yield from self._one(within)

    def _fragments(self, pixels: Element) -> Iterator[Element]:
        """Behind encapsulated frames (PS3.5 A.4), each yielded as an ``ITEM``; the first is the table of their offsets."""
        while (item := self._head((*pixels.within, pixels.tag))).tag != SEQUENCE_END:
            if item.tag != ITEM or item.length == UNDEFINED:
                raise ValueError("no frame where one is expected")
            yield item
            self._stream.seek(item.at + item.length)

    def _peek(self) -> Tag:
        at = self._stream.tell()
        tag = self._tag()
        self._stream.seek(at)
        return tag

    def _head(self, within: tuple[Tag, ...]) -> Element:
        self._left -= 1
        if self._left < 0:
            raise ValueError("too many elements")
        tag, kind = self._tag(), b""
        if tag[0] == ITEM_GROUP or not self._explicit:
            length = self._number("I")
        else:
            kind = self._read(2)
            if kind in LONG_LENGTH:
                self._read(2)
            length = self._number("I" if kind in LONG_LENGTH else "H")
        return Element(tag, kind, self._stream.tell(), length, within)

    def _tag(self) -> Tag:
        return self._number("H"), self._number("H")

    def _number(self, form: str) -> int:
        form = self._order + form
        return int(struct.unpack(form, self._read(struct.calcsize(form)))[0])

    def _read(self, count: int) -> bytes:
        content = self._stream.read(count)
        if len(content) != count:
            raise EOFError
        return content
