"""Real cervical carcinomas to try, where the network may be used: the smallest diagnostic slides of TCGA-CESC.

Twelve women, six of each type, one slide each, as DICOM series of the NCI Imaging Data Commons. Sizes and places are those of
its index (package ``idc-index-data``), diagnoses those of TCGA's open clinical table.
"""

import csv
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Event

from cervix.errors import DownloadFailed
from cervix.settings import Settings
from cervix.sources.downloads import Arriving, Downloader, counting, require_room
from cervix.sources.idc import IDC_SERVICE, Series, arrived_bytes, fetch_series
from cervix.sources.identity import slides_in

TABLE = Path(__file__).parent / "tables" / "tcga_cesc.csv"
COLLECTION = "TCGA-CESC"
CREDIT = (
    "Real: {patient}, {collection}, TCGA Research Network (cancer.gov/tcga), from the NCI Imaging Data Commons "
    "(doi.org/{doi}), {licence}."
)


@dataclass(frozen=True)
class RealSlide:
    """A slide of the table.

    Attributes
    ----------
    patient : str
        Her public code in TCGA; also what the slide is called here.
    diagnosis, icd_o_3 : str
        As the hospital stated it to TCGA: of the tumour, not of this slide.
    label : str
        ``scc`` or ``ac``.
    size_bytes : int
        As the index states it; may be rounded.
    """

    patient: str
    diagnosis: str
    icd_o_3: str
    label: str
    series: Series
    size_bytes: int
    licence: str
    doi: str

    @property
    def credit(self) -> str:
        """Whose it is, and under which licence."""
        return CREDIT.format(patient=self.patient, collection=COLLECTION, doi=self.doi, licence=self.licence)


@cache
def real_slides() -> tuple[RealSlide, ...]:
    """All of the table, the smallest first."""
    with TABLE.open(encoding="utf-8", newline="") as stream:
        slides = [
            RealSlide(
                row["patient"],
                row["diagnosis"],
                row["icd_o_3"],
                row["label"],
                Series(row["series"], row["bucket"], int(row["instances"])),
                round(float(row["size_mb"]) * 1e6),
                row["licence"],
                row["doi"],
            )
            for row in csv.DictReader(stream)
        ]
    return tuple(sorted(slides, key=lambda slide: slide.size_bytes))


def real_slides_at_hand(settings: Settings) -> list[RealSlide]:
    """The slides that may be asked for: without a network only those that were fetched before."""
    return [slide for slide in real_slides() if not settings.offline or opened_by(slide, settings)]


def opened_by(slide: RealSlide, settings: Settings) -> Path | None:
    """The file that opens a slide, if all of it is here."""
    found = slides_in(_folder(slide, settings))
    return found[0] if found else None


def is_begun(slide: RealSlide, settings: Settings) -> bool:
    """Whether a part of it is here, from which the next attempt goes on."""
    return arrived_bytes(_folder(slide, settings)) > 0


def fetch_real_slide(
    slide: RealSlide, settings: Settings, *, arriving: Callable[[Arriving], None] = lambda _: None, cancel: Event | None = None
) -> Path:
    """Fetch a slide, going on from where an earlier attempt ended; returns the file that opens it.

    Every file is checked by its size, and by its MD5 where the archive states one.

    Parameters
    ----------
    arriving : callable
        Called with each block that came, in this thread.
    cancel : threading.Event, optional
        Set it from another thread to stop after the block in hand.

    Raises
    ------
    DownloadFailed
        If the network may not be used, the disk is too small, or the slide cannot be had whole.
    Cancelled
        If ``cancel`` was set; what has arrived stays.
    OSError
        If the disk is full.
    """
    if (path := opened_by(slide, settings)) is not None:
        return path
    if settings.offline:
        raise DownloadFailed(
            f"{slide.patient} is not at hand", found="the network may not be used", action="Try a drawn slide."
        )
    folder = _folder(slide, settings)
    folder.parent.mkdir(parents=True, exist_ok=True)
    begun = arrived_bytes(folder)
    require_room(slide.patient, folder.parent, slide.size_bytes - begun)
    count = counting(begun, slide.size_bytes, arriving)
    with Downloader(IDC_SERVICE, read_timeout_s=settings.sample_timeout_s, arrived=count, cancel=cancel) as service:
        fetch_series(service, slide.series, folder, settings.idc_address, slide.patient)
    return slides_in(folder)[0]


def _folder(slide: RealSlide, settings: Settings) -> Path:
    return settings.samples_dir / COLLECTION / slide.series.id
