"""Everything that a scored slide can be taken away as, and how it is written."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cervix.bundle.manifest import Model
from cervix.bundle.sessions import ModelSession
from cervix.errors import SlideNotSuitable
from cervix.interop.dicom import IDENTIFIERS_NOTE, why_no_objects, write_zip
from cervix.slides.exports import write_geojson, write_heatmap, write_table
from cervix.slides.report import write_report
from cervix.slides.scoring import SlideScore
from cervix.sources.slide import Slide


@dataclass(frozen=True)
class Export:
    """A form in which a scored slide is taken away.

    Attributes
    ----------
    title : str
        For people.
    ending : str
        How the file's name ends, after the slide's.
    media_type : str
    write : (score, slide, session, path) -> None
    why_not : (slide) -> str
        Why a slide cannot be taken away in this form, in words; empty where it can.
    note : str
        What whoever takes it away should know.
    """

    title: str
    ending: str
    media_type: str
    write: Callable[[SlideScore, Slide, ModelSession, Path], None]
    why_not: Callable[[Slide], str] = lambda _: ""
    note: str = ""

    @property
    def suffix(self) -> str:
        """``".csv"``, ``".ome.tif"``."""
        return "".join(Path(self.ending).suffixes)


def _of_score(write: Callable[[SlideScore, Model, Path], None]) -> Callable[[SlideScore, Slide, ModelSession, Path], None]:
    """What needs no pixels of the slide."""
    return lambda score, _, session, path: write(score, session.model, path)


EXPORTS: dict[str, Export] = {
    "csv": Export("Tile table (CSV)", "tiles.csv", "text/csv", _of_score(write_table)),
    "parquet": Export("Tile table (Parquet)", "tiles.parquet", "application/vnd.apache.parquet", _of_score(write_table)),
    "geojson": Export("QuPath objects (GeoJSON)", "qupath.geojson", "application/geo+json", _of_score(write_geojson)),
    "heatmap": Export("Heatmap (OME-TIFF)", "heatmap.ome.tif", "image/tiff", _of_score(write_heatmap)),
    "report": Export("Case report (PDF)", "report.pdf", "application/pdf", write_report),
    "dicom": Export("DICOM objects (ZIP)", "dicom.zip", "application/zip", write_zip, why_no_objects, IDENTIFIERS_NOTE),
}
"""Every kind of export by its id: the one list that page, command line and library go by."""


def write_export(kind: str, score: SlideScore, slide: Slide, session: ModelSession, folder: Path, stem: str) -> Path:
    """Write one of ``EXPORTS`` and return its path; ``SlideNotSuitable`` for a kind there is not, or not for this slide."""
    if kind not in EXPORTS:
        raise SlideNotSuitable("There is no such export", expected=", ".join(EXPORTS), found=kind)
    if reason := EXPORTS[kind].why_not(slide):
        raise SlideNotSuitable(f"{EXPORTS[kind].title}: not for this slide", found=reason)
    path = folder / f"{stem}-{EXPORTS[kind].ending}"
    EXPORTS[kind].write(score, slide, session, path)
    return path
