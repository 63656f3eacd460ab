"""A local server of files, with faults to order.

It also speaks the parts that we use of the Genomic Data Commons' interface and of that of buckets.
"""

import hashlib
import json
import random
import re
import sys
import threading
import uuid
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

FILES = "/files"
BUCKET_LIST = "/?list-type=2&prefix="
BUCKET_XML = "http://s3.amazonaws.com/doc/2006-03-01/"


@dataclass
class Archive:
    """What the server holds, how it answers, and what it was asked.

    Attributes
    ----------
    records : one for each file, in the form of the files endpoint
    contents : file id, or path of a file in a bucket -> its bytes
    tags : path of a file in a bucket -> its tag, where that is not the MD5
    plans : path -> answers in place of the regular one, used up from the left
    questions : the body of every query for files
    requests : path and Range header ("" for none) of every request
    """

    records: list[dict[str, Any]] = field(default_factory=list)
    contents: dict[str, bytes] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    plans: defaultdict[str, deque["Answer"]] = field(default_factory=lambda: defaultdict(deque))
    questions: list[dict[str, Any]] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)
    address: str = ""

    def add(
        self, patient: str, *diagnoses: str | None, size: int = 3_000, content: bytes | None = None, **changes: Any
    ) -> str:  # fmt: skip
        """Put in a slide, of random bytes if none are given; ``changes`` are fields of its record. Returns its file id."""
        dice = random.Random(len(self.records))
        file_id = str(uuid.UUID(int=dice.getrandbits(128)))
        content = dice.randbytes(size) if content is None else content
        self.contents[file_id] = content
        self.records.append(
            {
                "file_id": file_id,
                "file_name": f"{patient}-01Z-00-DX1.svs",
                "file_size": len(content),
                "md5sum": hashlib.md5(content).hexdigest(),
                "cases": [case(patient, *diagnoses)],
                "data_format": "SVS",
                "experimental_strategy": "Diagnostic Slide",
                "access": "open",
            }
            | changes
        )
        return file_id

    def add_series(self, files: dict[str, bytes]) -> str:
        """Put a folder into the bucket. Returns its name, which is a UUID."""
        series = str(uuid.UUID(int=random.Random(f"series {len(self.contents)}").getrandbits(128)))
        self.contents |= {f"/{series}/{name}": content for name, content in files.items()}
        return series

    def bucket(self, prefix: str) -> str:
        """What a bucket lists under a prefix."""
        entries = "".join(
            f"<Contents><Key>{path[1:]}</Key><ETag>&quot;{self.tags.get(path, hashlib.md5(content).hexdigest())}&quot;</ETag>"
            f"<Size>{len(content)}</Size></Contents>"
            for path, content in self.contents.items()
            if path.startswith(f"/{prefix}")
        )
        return f'<?xml version="1.0"?><ListBucketResult xmlns="{BUCKET_XML}">{entries}</ListBucketResult>'

    def plan(self, file_id_or_path: str, *answers: "Answer") -> None:
        """Give these answers to the next requests, then regular ones again."""
        self.plans[path_of(file_id_or_path)].extend(answers)

    def ranges(self, file_id: str) -> list[str]:
        """The ranges in which a slide was asked for, in order; "" is the whole slide."""
        return [asked for path, asked in self.requests if path == path_of(file_id)]

    def downloads(self) -> list[str]:
        """The ids of all slides that were asked for, in order."""
        return [path.removeprefix("/data/") for path, _ in self.requests if path != FILES]

    def page(self, question: dict[str, Any]) -> dict[str, Any]:
        """What the files endpoint answers: filtered, sorted only if asked, cut to a page, and only the fields asked for."""
        found = [record for record in self.records if fits(record, question["filters"])]
        if sort := question.get("sort"):
            name, direction = sort.split(":")
            found.sort(key=lambda record: str(record[name]), reverse=direction == "desc")
        hits = found[question["from"] : question["from"] + question["size"]]
        fields = question["fields"].split(",")
        page = {"count": len(hits), "from": question["from"], "size": question["size"], "total": len(found)}
        return {"data": {"hits": [only(record, fields) for record in hits], "pagination": page}, "warnings": {}}


def path_of(file_id_or_path: str) -> str:
    return file_id_or_path if file_id_or_path.startswith("/") else f"/data/{file_id_or_path}"


def case(patient: str, *diagnoses: str | None, project: str = "TCGA-CESC") -> dict[str, Any]:
    return {
        "submitter_id": patient,
        "project": {"project_id": project},
        "diagnoses": [{"primary_diagnosis": text} for text in diagnoses],
    }


def fits(record: dict[str, Any], filters: dict[str, Any]) -> bool:
    if filters["op"] == "and":
        return all(fits(record, part) for part in filters["content"])
    wanted = filters["content"]["value"]
    values = leaves(record, filters["content"]["field"].split("."))
    return not set(values).isdisjoint(wanted if filters["op"] == "in" else [wanted])


def leaves(node: Any, names: list[str]) -> list[Any]:
    if isinstance(node, list):
        return [leaf for item in node for leaf in leaves(item, names)]
    return leaves(node.get(names[0], []), names[1:]) if names else [node]


def only(node: Any, fields: list[str]) -> Any:
    """The part of a record under the dotted names in ``fields``."""
    if isinstance(node, list):
        return [only(item, fields) for item in node]
    kept = {}
    for name in {entry.split(".")[0] for entry in fields} & set(node):
        deeper = [entry.partition(".")[2] for entry in fields if entry.startswith(f"{name}.")]
        kept[name] = only(node[name], deeper) if deeper else node[name]
    return kept


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30
    archive: Archive

    def log_message(self, format: str, *args: object) -> None:
        """Requests are not news."""

    def do_POST(self) -> None:
        self.posted(self.rfile.read(int(self.headers["Content-Length"])))

    def do_GET(self) -> None:
        self.got()

    def posted(self, body: bytes) -> None:
        question = json.loads(body)
        self.archive.questions.append(question)
        self._answer(lambda _: self.send(200, json.dumps(self.archive.page(question)).encode(), kind="application/json"))

    def got(self) -> None:
        self._answer(in_the_bucket if self.path.startswith(BUCKET_LIST) else regular)

    def _answer(self, usual: "Answer") -> None:
        self.archive.requests.append((self.path, self.headers.get("Range", "")))
        plan = self.archive.plans[self.path]
        (plan.popleft() if plan else usual)(self)

    @property
    def slide(self) -> bytes:
        return self.archive.contents[self.path.removeprefix("/data/")]

    @property
    def start(self) -> int:
        """Where the range that was asked for begins; 0 without one."""
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        return int(asked[1]) if asked else 0

    def head(self, status: int, length: int | None, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if length is None:
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def send(self, status: int, body: bytes = b"", *, kind: str = "application/octet-stream", **headers: str) -> None:
        self.head(status, len(body), Content_Type=kind, **headers)
        self.wfile.write(body)

    def begin(self) -> bytes:
        """Send the head of a regular answer; returns the body that has to follow."""
        body = self.slide[self.start :]
        if "Range" in self.headers:
            span = f"bytes {self.start}-{len(self.slide) - 1}/{len(self.slide)}"
            self.head(206, len(body), Content_Range=span)
        else:
            self.head(200, len(body))
        return body


Answer = Callable[[Handler], None]


def regular(handler: Handler) -> None:
    """The slide, or the rest of it that was asked for."""
    if handler.start >= len(handler.slide):
        handler.send(416, Content_Range=f"bytes */{len(handler.slide)}")
    else:
        handler.wfile.write(handler.begin())


def in_the_bucket(handler: Handler) -> None:
    """The list of a folder."""
    listing = handler.archive.bucket(handler.path.removeprefix(BUCKET_LIST))
    handler.send(200, listing.encode(), kind="application/xml")


def cut_after(size: int) -> Answer:
    """A regular answer whose connection closes after ``size`` bytes of the body."""

    def answer(handler: Handler) -> None:
        handler.wfile.write(handler.begin()[:size])
        handler.close_connection = True

    return answer


def silent_after(size: int, seconds: float) -> Answer:
    """A regular answer that stops moving after ``size`` bytes of the body."""

    def answer(handler: Handler) -> None:
        handler.wfile.write(handler.begin()[:size])
        handler.archive.closing.wait(seconds)
        handler.close_connection = True

    return answer


def dripping(size: int, seconds: float, step: int = 1) -> Answer:
    """A regular answer that gives ``size`` bytes at once and then ``step`` bytes at a time."""

    def answer(handler: Handler) -> None:
        body = handler.begin()
        handler.wfile.write(body[:size])
        for place in range(size, len(body), step):
            if handler.archive.closing.wait(seconds):
                handler.close_connection = True
                return
            handler.wfile.write(body[place : place + step])

    return answer


def ignoring_range(handler: Handler) -> None:
    """The whole slide, whatever part was asked for."""
    handler.send(200, handler.slide)


def wrong_bytes(handler: Handler) -> None:
    """As many bytes as the slide has, but others."""
    handler.send(200, bytes(byte ^ 0xFF for byte in handler.slide))


def unannounced(size: int) -> Answer:
    """A body whose length is not stated: the first ``size`` bytes of the slide, repeated if it has fewer."""

    def answer(handler: Handler) -> None:
        handler.head(200, None)
        handler.wfile.write((handler.slide * (1 + size // len(handler.slide)))[:size])

    return answer


def other_range(handler: Handler) -> None:
    """A part that begins one byte later than asked for."""
    first, size = handler.start + 1, len(handler.slide)
    handler.send(206, handler.slide[first:], Content_Range=f"bytes {first}-{size - 1}/{size}")


def status(code: int, **headers: str) -> Answer:
    return lambda handler: handler.send(code, **headers)


def says(body: str | bytes, kind: str = "application/json") -> Answer:
    """A reply with status 200 and this body."""
    return lambda handler: handler.send(200, body.encode() if isinstance(body, str) else body, kind=kind)


HTML = says("<html><body>Down for maintenance</body></html>", "text/html")


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away are part of the tests; anything else is a fault of this server and is shown."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def serving(archive: Archive, kind: type[Handler] = Handler) -> Iterator[str]:
    """Run the server while the block runs; yields its address."""
    handler = type("BoundHandler", (kind,), {"archive": archive})
    with Server(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        archive.address = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield archive.address
        finally:
            archive.closing.set()
            server.shutdown()
            thread.join()
