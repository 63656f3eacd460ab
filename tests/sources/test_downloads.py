"""A file comes whole, from the one server that was asked, and is what it should be; or it does not come, with a reason.

What breaks off, drips, errs and resumes is tested through the slides of the Genomic Data Commons, on the same downloader.
"""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cervix.errors import DownloadFailed
from cervix.samples import sample_slide
from cervix.settings import Settings
from cervix.sources.downloads import Downloader, RemoteFile, _may_lead_to
from tests.training.gdc_server import Answer, Archive, cut_after, serving, status, wrong_bytes

pytestmark = pytest.mark.usefixtures("no_proxy")
SIZE = 3_000


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def downloader(lines: list[str]) -> Iterator[Downloader]:
    with Downloader("The archive", log=lines.append, retry_wait_s=0.001, read_timeout_s=10.0) as service:
        yield service


def remote(archive: Archive, file_id: str) -> RemoteFile:
    content = archive.contents[file_id]
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    return RemoteFile(f"{archive.address}/data/{file_id}", "slide.svs", len(content), digest)


def redirect(address: str) -> Answer:
    return status(302, Location=address)


def test_a_file_comes_whole_and_alone(archive: Archive, downloader: Downloader, tmp_path: Path, lines: list[str]) -> None:
    file_id = archive.add("A", size=SIZE)
    archive.plan(file_id, cut_after(1000))
    downloader.fetch(remote(archive, file_id), tmp_path / "new/slide.svs")
    assert (tmp_path / "new/slide.svs").read_bytes() == archive.contents[file_id]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["slide.svs"]
    assert archive.ranges(file_id) == ["", "bytes=1000-"]
    assert lines[0] == "slide.svs, 0.0 MB"
    assert lines[-1].startswith("slide.svs is whole after")


def test_a_file_of_another_sha256_is_never_kept(archive: Archive, downloader: Downloader, tmp_path: Path) -> None:
    file_id = archive.add("A", size=SIZE)
    archive.plan(file_id, wrong_bytes, wrong_bytes)
    with pytest.raises(DownloadFailed, match=r"does not arrive as it was deposited: expected SHA256 \w{64}; found SHA256"):
        downloader.fetch(remote(archive, file_id), tmp_path / "slide.svs")
    assert list(tmp_path.iterdir()) == []


def test_a_redirect_within_the_server_is_followed(archive: Archive, downloader: Downloader, tmp_path: Path) -> None:
    asked, meant = archive.add("A", size=SIZE), archive.add("B", size=SIZE)
    archive.plan(asked, redirect(f"/data/{meant}"))
    wanted = remote(archive, meant)
    downloader.fetch(
        RemoteFile(f"{archive.address}/data/{asked}", wanted.name, wanted.size_bytes, wanted.digest), tmp_path / "slide.svs"
    )
    assert (tmp_path / "slide.svs").read_bytes() == archive.contents[meant]


def test_another_server_is_refused_and_never_asked(archive: Archive, downloader: Downloader, tmp_path: Path) -> None:
    file_id = archive.add("A", size=SIZE)
    other = Archive()
    with serving(other) as elsewhere:  # another port is another server
        archive.plan(file_id, redirect(f"{elsewhere}/data/{file_id}"))
        with pytest.raises(DownloadFailed, match="leads to another server"):
            downloader.fetch(remote(archive, file_id), tmp_path / "slide.svs")
        archive.plan("/files", redirect(f"{elsewhere}/files"))
        with pytest.raises(DownloadFailed, match="leads to another server"):
            downloader.ask(f"{archive.address}/files", {}, "the list of files")
    assert other.requests == []
    assert len(archive.requests) == 2, "a refusal is not tried again"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "address",
    [
        "http://localhost:{port}/data/x",
        "//localhost:{port}/data/x",
        "https://127.0.0.1:{port}/data/x",
        "http://169.254.169.254/latest/meta-data",
        "http://user:word@localhost:{port}/data/x",
        "file:///etc/hostname",
    ],
)
def test_another_name_scheme_or_address_is_another_server(
    archive: Archive, downloader: Downloader, tmp_path: Path, address: str
) -> None:
    file_id = archive.add("A", size=SIZE)
    archive.plan(file_id, redirect(address.format(port=archive.address.rpartition(":")[2])))
    with pytest.raises(DownloadFailed, match="leads to another server: expected the file from 127"):
        downloader.fetch(remote(archive, file_id), tmp_path / "slide.svs")
    assert len(archive.requests) == 1


@pytest.mark.parametrize(
    ("here", "there", "may"),
    [
        ("http://a.org/x", "https://a.org/y", True),
        ("http://a.org:80/x", "https://a.org:443/y", True),
        ("https://a.org/x", "http://a.org/y", False),
        ("http://a.org/x", "https://a.org:8443/y", False),
        ("http://a.org/x", "https://b.a.org/y", False),
        ("https://A.org/x", "https://a.org/y", True),
    ],
)
def test_a_server_may_lead_to_its_own_encrypted_door_and_to_no_other(here: str, there: str, may: bool) -> None:
    assert _may_lead_to(here, there) is may


def test_two_downloads_of_one_sample_share_it(archive: Archive, data_dir: Path, tmp_path: Path) -> None:
    """Sessions that ask at once do not write into each other's file."""
    file_id = archive.add("A")
    archive.contents[file_id] = (data_dir / "slides/CMU-1-Small-Region.svs").read_bytes()
    settings = Settings(home=tmp_path, sample_slide_url=f"{archive.address}/data/{file_id}")
    with ThreadPoolExecutor(4) as pool:
        kinds = {sample.kind for sample in pool.map(sample_slide, [settings] * 4)}
    assert kinds == {"real"}
    assert archive.ranges(file_id) == [""]
