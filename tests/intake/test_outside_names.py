"""Whatever files are called, nothing outside an upload's own folder appears or changes."""

import asyncio
import io
import zipfile
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cervix.errors import CervixError
from cervix.intake.uploads import UploadStore
from cervix.promotion.candidates import unpack_bundle

EXAMPLES, NAMES_EACH = 100, 101

bits = st.sampled_from(
    ["..", ".", "/", "\\", "//", "a", "J", "J.mrxs", "J/", "Slidedat.ini", "Data0000.dat", "x.svs", "x.dcm", "x.zip", "keep",
     "owner", "C:", "con", "\0", "\n", "‥", "／", "~", "labels.sqlite", ".parts", "slide.svs", "é", "e\u0301", "\ud800",
     "y" * 200, "_", " "]
)  # fmt: skip
names = st.lists(bits, max_size=8).map("".join) | st.text(max_size=40)


class Home:
    """A store below a folder with files that somebody would like to overwrite."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = UploadStore(root / "home/uploads", 10_000_000)
        for path in (root / "secret.svs", root / "home/labels.sqlite", root / "home/uploads.txt"):
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"untouched")
        self.before = self.outside()
        self.loop = asyncio.new_event_loop()
        self.number = 0

    def outside(self) -> dict[str, bytes]:
        """Every file that is none of the store's, and every folder."""
        inside = self.root / "home/uploads"
        return {
            str(path): path.read_bytes() if path.is_file() else b""
            for path in self.root.rglob("*")
            if path != inside and inside not in path.parents
        }

    def bring(self, files: list[tuple[str, bytes]]) -> None:
        """Upload files; refusals are welcome."""
        upload = f"{self.number:032x}"
        self.number += 1

        async def stream(content: bytes) -> AsyncIterator[bytes]:
            yield content

        async def send_all() -> None:
            for number, (name, content) in enumerate(files):
                try:
                    await self.store.receive(upload, number, name, 0, len(content), stream(content))
                except CervixError:
                    continue

        self.loop.run_until_complete(send_all())
        kept: list[Path] = []
        try:
            kept = [*self.store.finish(upload)]
        except CervixError:
            self.store.discard(upload)
        for path in kept:
            assert path.is_file()
            assert path.parent.parent == self.store.folder


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    made = Home(tmp_path_factory.mktemp("root"))
    yield made
    made.loop.close()


def packed(members: list[str]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for member in {(made := zipfile.ZipInfo(name)).filename: made for name in members}.values():
            with suppress(UnicodeEncodeError):
                archive.writestr(member, b"member")
    return content.getvalue()


@pytest.mark.slow
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(st.lists(names, min_size=NAMES_EACH, max_size=NAMES_EACH))
def test_ten_thousand_names_write_nothing_outside_their_upload(home: Home, given_names: list[str]) -> None:
    # An upload that is taken costs a process that looks for photographs, so most names are brought together.
    single, in_folder, in_mirax, members = given_names[:2], given_names[2:35], given_names[35:68], given_names[68:]
    for name in single:
        home.bring([(name, b"single")])
    home.bring([("d/x.svs", b"slide"), *((f"d/{name}", b"folder") for name in in_folder)])
    told = "".join(f"FILE_{number}={name}\n" for number, name in enumerate(in_mirax[:2]))
    told = f"[HIERARCHICAL]\nINDEXFILE=Index.dat\n[DATAFILE]\n{told}"
    listed = [("d/J/Slidedat.ini", told.encode("utf-8", "surrogatepass")), ("d/J/Index.dat", b"index")]
    home.bring([("d/J.mrxs", b"mirax"), *((f"d/J/{name}", b"inner") for name in in_mirax), *listed])
    home.bring([("z.zip", packed(members[1:]))])
    for member in members[:1]:
        home.bring([("z.zip", packed(["a/J.mrxs", "a/J/Data0000.dat", f"a/J/{member}"]))])
    assert home.outside() == home.before


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(st.lists(names, max_size=6))
def test_a_candidate_s_names_write_nothing_outside_its_folder(
    tmp_path_factory: pytest.TempPathFactory, given_names: list[str]
) -> None:
    root = tmp_path_factory.mktemp("bundle")
    archive = root / "bundle.zip"
    archive.write_bytes(packed(["b/manifest.json", *(f"b/{name}" for name in given_names)]))
    (root / "in").mkdir()
    with suppress(CervixError):
        unpack_bundle(archive, root / "in/place")
    assert {path.name for path in root.iterdir()} == {"bundle.zip", "in"}
    assert {path.name for path in (root / "in").iterdir()} <= {"place"}
