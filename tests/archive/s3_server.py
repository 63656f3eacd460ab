"""A local object store, and a door before it that gives faults to order."""

import http.client
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import boto3
from moto.server import ThreadedMotoServer

from tests.file_server import Answer, Archive, Handler, serving

BUCKET = "slides"
KEYS = {
    "AWS_ACCESS_KEY_ID": "key-of-the-test",
    "AWS_SECRET_ACCESS_KEY": "secret-key-of-the-test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "NO_PROXY": "127.0.0.1",
}
"""What whoever asks it must know."""


@dataclass
class Store(Archive):
    """A bucket in the store behind the door. ``plans`` are by path without the query: ``/slides`` is its list."""

    behind: str = ""

    def put(self, key: str, content: bytes) -> None:
        self._client.put_object(Bucket=BUCKET, Key=key, Body=content)

    def remove(self, key: str) -> None:
        self._client.delete_object(Bucket=BUCKET, Key=key)

    @property
    def _client(self) -> "boto3.client":
        return boto3.client("s3", endpoint_url=self.behind, region_name="us-east-1")

    def asked_for(self, key: str) -> int:
        """How often an object was fetched."""
        return sum(path == f"/{BUCKET}/{key}" for path, _ in self.requests)


class Door(Handler):
    archive: Store

    def got(self) -> None:
        path = urlsplit(self.path).path
        self.archive.requests.append((path, self.headers.get("Range", "")))
        plan = self.archive.plans[path]
        (plan.popleft() if plan else passed_on)(self)

    def ask(self) -> tuple[int, dict[str, str], bytes]:
        """What the store itself answers."""
        parts = urlsplit(self.archive.behind)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)
        connection.request("GET", self.path, headers={k: v for k, v in self.headers.items() if k != "Connection"})
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, dict(answer.getheaders()), body


def passed_on(handler: Handler) -> None:
    assert isinstance(handler, Door)
    status, headers, body = handler.ask()
    handler.send_response(status)
    for name in ("ETag", "Content-Type", "Last-Modified"):
        if name in headers:
            handler.send_header(name, headers[name])
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def cut_short(handler: Handler) -> None:
    """The head of the regular answer and half of its body."""
    assert isinstance(handler, Door)
    _, headers, body = handler.ask()
    handler.head(200, len(body), ETag=headers["ETag"])
    handler.wfile.write(body[: len(body) // 2])
    handler.close_connection = True


def held_back(handler: Handler) -> None:
    """Half of the regular answer, and the rest for those with more patience than anybody has here."""
    cut_short(handler)
    handler.wfile.flush()
    handler.archive.closing.wait(20)


def silent(handler: Handler) -> None:
    """Nothing, for longer than anybody waits here."""
    handler.archive.closing.wait(20)
    handler.close_connection = True


def refusing(status: int, code: str) -> Answer:
    """An error as S3 words it."""
    body = f"<Error><Code>{code}</Code><Message>secret-key-of-the-test</Message></Error>".encode()
    return lambda handler: handler.send(status, body, kind="application/xml")


@contextmanager
def object_store() -> Iterator[Store]:
    """A store with an empty bucket, and the door before it."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    store = Store(behind=f"http://{host}:{port}")
    try:
        store._client.create_bucket(Bucket=BUCKET)
        with serving(store, Door):
            yield store
    finally:
        server.stop()
