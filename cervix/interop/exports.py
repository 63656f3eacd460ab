"""Everything that a scored slide can be taken away as, and how it is written."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Literal

from cervix.bundle.manifest import Model
from cervix.bundle.sessions import ModelSession
from cervix.errors import SlideNotSuitable
from cervix.interop.dicom import IDENTIFIERS_NOTE, why_no_objects, write_zip
from cervix.interop.fhir.resources import MEDIA_TYPE, VERSIONS
from cervix.interop.fhir.slide import write_slide_bundle
from cervix.interop.whole import why_not_whole
from cervix.slides.exports import write_geojson, write_heatmap, write_table
from cervix.slides.report import write_report
from cervix.slides.scoring import SlideScore
from cervix.sources.slide import Slide

Audience = Literal["people", "programs", "hospital"]
AUDIENCES: Final[dict[Audience, str]] = {
    "people": "To read", "programs": "For QuPath and tables", "hospital": "For the hospital's systems",
}  # fmt: skip
"""Who an export is for, in the order in which pages show them."""


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
    audience : one of ``AUDIENCES``
    write : (score, slide, session, path) -> None
    why_not : (slide) -> str
        Why a slide cannot be taken away in this form, in words; empty where it can.
    note : str
        What whoever takes it away should know.
    """

    title: str
    ending: str
    media_type: str
    audience: Audience
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
    "csv": Export("Tile table (CSV)", "tiles.csv", "text/csv", "programs", _of_score(write_table)),
    "parquet": Export(
        "Tile table (Parquet)", "tiles.parquet", "application/vnd.apache.parquet", "programs", _of_score(write_table)
    ),
    "geojson": Export(
        "QuPath objects (GeoJSON)", "qupath.geojson", "application/geo+json", "programs", _of_score(write_geojson)
    ),
    "heatmap": Export("Heatmap (OME-TIFF)", "heatmap.ome.tif", "image/tiff", "programs", _of_score(write_heatmap)),
    "report": Export("Case report (PDF)", "report.pdf", "application/pdf", "people", write_report),
    **{
        f"fhir-{version.lower()}": Export(
            f"FHIR {version} report (JSON)",
            f"report.{version.lower()}.fhir.json",
            MEDIA_TYPE,
            "hospital",
            partial(write_slide_bundle, version=version),
        )
        for version in VERSIONS
    },
    "dicom": Export(
        "DICOM objects (ZIP)", "dicom.zip", "application/zip", "hospital", write_zip, why_no_objects, IDENTIFIERS_NOTE
    ),
}
"""Every kind of export by its id: the one list that page, command line and library go by."""


def why_no_export(kind: str, score: SlideScore, slide: Slide) -> str:
    """Why this score cannot be taken away as one of ``EXPORTS``, in words; empty where it can."""
    export = EXPORTS[kind]
    return export.why_not(slide) or (why_not_whole(score) if export.audience == "hospital" else "")


def write_export(kind: str, score: SlideScore, slide: Slide, session: ModelSession, folder: Path, stem: str) -> Path:
    """Write one of ``EXPORTS`` and return its path; ``SlideNotSuitable`` for a kind there is not, or not for this score."""
    if kind not in EXPORTS:
        raise SlideNotSuitable("There is no such export", expected=", ".join(EXPORTS), found=kind)
    if reason := why_no_export(kind, score, slide):
        raise SlideNotSuitable(f"{EXPORTS[kind].title}: not for this slide", found=reason)
    path = folder / f"{stem}-{EXPORTS[kind].ending}"
    EXPORTS[kind].write(score, slide, session, path)
    return path
