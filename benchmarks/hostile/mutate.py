"""Damage and malice, made from a random generator: the same generator makes the same bytes."""

import io
import json
import struct
import zipfile
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Rng = np.random.Generator
ODD_NUMBERS = (0, 1, 2, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF)
ODD_NAMES = (
    "../../../../../canary.txt",
    "../../../../../../canary.txt",
    "../../../../../../labels.sqlite",
    "slide/../../../../../../canary.txt",
    "../out.svs",
    "a/../../out.svs",
    "d/J/../../../../out",
    "/etc/passwd",
    "C:\\windows\\out.svs",
    "..\\..\\out.svs",
    ".",
    "",
    "..",
    "a//b.svs",
    "a/./b.svs",
    "nul.svs",
    "x" * 300 + ".svs",
    "a/" * 40 + "b.svs",
    "naïve.svs",
    "\ud800.svs",
    "a\0b.svs",
    "a\nb.svs",
    "-rf.svs",
    "$(touch out).svs",
    "`out`.svs",
    "slide.svs ",
    "slide.svs.",
    "~/out.svs",
    "keep",
    "slide/Slidedat.ini",
    "file:///etc/passwd",
    "a:stream.svs",
    "\u200b.svs",
    "\uff0e\uff0e/out.svs",
    "\u202esvs.exe",
    "%2e%2e/out.svs",
    "__MACOSX/._a.svs",
)
ODD_TEXTS = (
    "",
    " ",
    "-",
    "?",
    "nan",
    "NaN",
    "inf",
    "-inf",
    "1e999",
    "=1+1",
    "@SUM(A1)",
    "+cmd|' /C calc'!A0",
    "\0",
    "\ufeff",
    "\u202e",
    "null",
    "None",
    "0x10",
    "1,5",
    "1.234,5",
    "1_000",
    "2019-02-30",
    "31.12.2019",
    "12/31/2019",
    "43831",
    "99999999",
    "1e308",
    "True",
    "HSIL",
    "ASC-H",
    "positive",
    "16/18",
    "<script>alert(1)</script>",
    "![](http://evil.example/x.png)",
    "'; DROP TABLE cases; --",
    "x" * 10_000,
    "1" * 5_000,
    "é" * 50,
    "\U0001f600",
    '"',
    ";",
    "\t",
    "\r",
    "\n",
)


def damaged(rng: Rng, content: bytes, *, head: int = 4096) -> bytes:
    """The bytes with one kind of damage; half of it in the first ``head``, where directories and headers lie."""
    changed = bytearray(content)
    if not changed:
        return bytes(rng.integers(0, 256, 64, np.uint8))
    kind = rng.integers(8)
    reach = min(len(changed), head) if rng.random() < 0.5 else len(changed)
    if kind == 0:
        return bytes(changed[: int(rng.integers(len(changed)))])
    if kind in (1, 2, 3):
        for _ in range(int(rng.integers(1, 4)) if kind < 3 else int(rng.integers(4, 200))):
            changed[int(rng.integers(reach))] ^= 1 << int(rng.integers(8))
    elif kind == 4:
        number = ODD_NUMBERS[int(rng.integers(len(ODD_NUMBERS)))]
        width = int(rng.choice([1, 2, 4, 8]))
        packed = (number & (1 << 8 * width) - 1).to_bytes(width, "little" if rng.random() < 0.7 else "big")
        at = int(rng.integers(reach))
        changed[at : at + width] = packed
    elif kind == 5:
        at, length = int(rng.integers(reach)), int(rng.integers(1, 2000))
        changed[at : at + length] = bytes(min(length, len(changed) - at))
    elif kind == 6:
        a, b, length = (int(rng.integers(len(changed))) for _ in range(3))
        changed[a : a + length % 4096] = changed[b : b + length % 4096]
    else:
        at = int(rng.integers(reach))
        changed[at:at] = bytes(rng.integers(0, 256, int(rng.integers(1, 64)), np.uint8))
    return bytes(changed)


def damaged_table(rng: Rng, text: str) -> bytes:
    """A table with cells, lines, delimiters or bytes that nobody expected."""
    lines = text.splitlines()
    for _ in range(int(rng.integers(1, 6))):
        at = int(rng.integers(len(lines)))
        kind = int(rng.integers(7))
        cells = lines[at].split(",")
        if kind in (0, 1, 2):
            cells[int(rng.integers(len(cells)))] = ODD_TEXTS[int(rng.integers(len(ODD_TEXTS)))]
            lines[at] = ",".join(cells)
        elif kind == 3:
            lines[at] = ",".join(cells * int(rng.integers(2, 50)))
        elif kind == 4:
            lines.insert(at, lines[int(rng.integers(len(lines)))])
        elif kind == 5:
            lines[at] = ",".join(cells[: int(rng.integers(len(cells)))])
        else:
            lines[at] = lines[at].replace(",", str(rng.choice([";", "\t", "|", ",,"])))
    encoding = str(rng.choice(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252", "latin-1"]))
    content = str(rng.choice(["\n", "\r\n", "\r"])).join(lines).encode(encoding, "replace")
    return damaged(rng, content) if rng.random() < 0.3 else content


def damaged_json(rng: Rng, value: Any) -> Any:
    """A copy of a JSON value in which a few leaves or branches are something else."""
    copy = json.loads(json.dumps(value))
    odd: Sequence[Callable[[], Any]] = (
        lambda: None,
        lambda: True,
        lambda: [],
        dict,
        lambda: -1,
        lambda: 10**400,
        lambda: float("nan"),
        lambda: "x" * 100_000,
        lambda: ODD_TEXTS[int(rng.integers(len(ODD_TEXTS)))],
        lambda: ODD_NAMES[int(rng.integers(len(ODD_NAMES)))],
        lambda: [[[[]]]] * 1000,
    )
    for _ in range(int(rng.integers(1, 4))):
        node = copy
        while isinstance(node, (dict, list)) and node:
            keys = list(node) if isinstance(node, dict) else list(range(len(node)))
            key = keys[int(rng.integers(len(keys)))]
            if not isinstance(node[key], (dict, list)) or not node[key] or rng.random() < 0.15:
                if rng.random() < 0.15:
                    del node[key]
                else:
                    node[key] = odd[int(rng.integers(len(odd)))]()
                break
            node = node[key]
    return copy


def deep_json(rng: Rng) -> bytes:
    """Brackets within brackets."""
    depth = int(rng.integers(100, 200_000))
    return b'{"a":' * depth + b"1" + b"}" * depth if rng.random() < 0.5 else b"[" * depth + b"]" * depth


def hostile_zip(rng: Rng, members: dict[str, bytes]) -> bytes:
    """A zip of some members, some of them renamed, damaged, doubled, linked or blown up."""
    buffer = io.BytesIO()
    method = int(rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]))
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members.items():
            odd = name
            if rng.random() < 0.3:
                odd = ODD_NAMES[int(rng.integers(len(ODD_NAMES)))].encode("utf-8", "replace").decode()
            info = zipfile.ZipInfo(odd or "x")
            info.compress_type = method
            if rng.random() < 0.1:
                info.external_attr = 0o120777 << 16
            archive.writestr(info, damaged(rng, content) if rng.random() < 0.3 else content)
            if odd == "":
                info.filename = ""
        if rng.random() < 0.1:
            archive.writestr("bomb.svs", bytes(80 << 20), zipfile.ZIP_DEFLATED)
    content = buffer.getvalue()
    return damaged(rng, content, head=len(content)) if rng.random() < 0.5 else content


def hostile_tiff(rng: Rng) -> bytes:
    """A small TIFF that says impossible things of itself: sizes, counts, offsets, loops, compressions."""
    big = rng.random() < 0.3
    word = "Q" if big else "I"
    width, height = (int(rng.choice([1, 224, 4096, 65_536, 500_000, 2_000_000_000])) for _ in range(2))
    tile = int(rng.choice([0, 16, 256, 4096, 1 << 20]))
    huge = int(rng.choice([0, 1, 100, 1 << 20, 1 << 31]))
    tags: dict[int, tuple[int, int]] = {
        256: (4, width),
        257: (4, height),
        258: (3, int(rng.choice([1, 8, 16, 32, 64]))),
        259: (3, int(rng.choice([1, 5, 7, 8, 33003, 33005, 34712, 50000, 50001, 65535]))),
        262: (3, int(rng.choice([1, 2, 3, 5, 6]))),
        277: (3, int(rng.choice([0, 1, 3, 4, 65535]))),
        322: (4, tile),
        323: (4, tile),
        324: (4, huge),
        325: (4, huge),
        270: (2, 8),
        254: (4, int(rng.integers(5))),
    }
    for tag in list(tags):
        if rng.random() < 0.1:
            del tags[tag]
    if rng.random() < 0.3:
        tags[int(rng.integers(1, 65535))] = (int(rng.integers(1, 20)), huge)
    head = struct.pack("<2sHHHQ", b"II", 43, 8, 0, 16) if big else struct.pack("<2sHI", b"II", 42, 8)
    directory = struct.pack("<Q" if big else "<H", len(tags))
    count = int(rng.choice([1, 1, 1, 1000, 1 << 31]))
    for tag, (kind, value) in sorted(tags.items()):
        directory += struct.pack(f"<HH{word}{word}", tag, kind, count if tag in (324, 325) else 1, value)
    after = int(rng.choice([0, 8, 16, len(head)]))
    directory += struct.pack(f"<{word}", after)
    return head + directory + bytes(rng.integers(0, 256, int(rng.integers(0, 4096)), np.uint8))


def hostile_png(rng: Rng) -> bytes:
    """A PNG whose header, text or pixels are not what they say."""
    import zlib

    def chunk(kind: bytes, body: bytes) -> bytes:
        checksum = zlib.crc32(kind + body)
        if rng.random() < 0.1:
            checksum ^= 1
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", checksum)

    side = [int(rng.choice([0, 1, 300, 5_000, 30_000, 0x7FFFFFFF])) for _ in range(2)]
    body = struct.pack(
        ">II5B", *side, int(rng.choice([1, 8, 16])), int(rng.choice([0, 2, 3, 4, 6])), 0, 0, int(rng.integers(2))
    )
    parts = [b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", body)]
    if rng.random() < 0.3:
        parts.append(chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(int(rng.choice([100, 5 << 20, 200 << 20]))), 9)))
    if rng.random() < 0.2:
        parts.append(chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(5 << 20), 9)))
    parts.append(chunk(b"IDAT", zlib.compress(bytes(int(rng.choice([0, 1000, 300 * 901]))))))
    if rng.random() < 0.8:
        parts.append(chunk(b"IEND", b""))
    return b"".join(parts)
