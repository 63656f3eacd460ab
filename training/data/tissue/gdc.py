"""Open-access diagnostic slides of a TCGA project, from the Genomic Data Commons.

Interface: https://docs.gdc.cancer.gov/API/Users_Guide/ (files and data endpoints).
"""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError

from cervix.sources.downloads import READ_TIMEOUT_S, RETRY_WAIT_S, Downloader, RemoteFile, part_of, size_of, undocumented
from training.data.tissue.collecting import ListedSlide, SlideManifest, choose_slides, fetch_chosen
from training.data.tissue.diagnoses import classify
from training.shared.stages import Log

SERVICE = "The Genomic Data Commons"
GDC_API = "https://api.gdc.cancer.gov"
FIELDS = (
    "file_id",
    "file_name",
    "file_size",
    "md5sum",
    "cases.submitter_id",
    "cases.diagnoses.primary_diagnosis",
)
PAGE_SIZE = 500


class GenomicDataCommons:
    """The open diagnostic slides of a project as an ``Archive``; a slide is one file under ``slides/<file id>/``.

    Parameters
    ----------
    project : str
        Project id, such as ``TCGA-CESC``.
    """

    def __init__(self, service: Downloader, project: str, base_url: str = GDC_API) -> None:
        self.title = project
        self._service, self._base_url = service, base_url.rstrip("/")

    def listed(self) -> list[ListedSlide]:
        """All slides of the project, page by page."""
        slides: dict[str, ListedSlide] = {}
        while True:
            question = _question(self.title, len(slides))
            page = _page(self._service.ask(f"{self._base_url}/files", question, "the list of files"))
            for slide in (hit.as_slide() for hit in page.hits):
                if slide.file_id in slides:
                    raise undocumented(SERVICE, "every file once", f"{slide.file_id} on two pages")
                slides[slide.file_id] = slide
            if len(slides) >= page.pagination.total:
                return list(slides.values())
            if not page.hits:
                raise undocumented(SERVICE, f"{page.pagination.total} files", f"an empty page after {len(slides)}")

    def opened_by(self, slide: ListedSlide, folder: Path) -> str:
        """Its path if it was downloaded before.

        Checking the size is enough: a file gets this name only after its MD5 was verified and its bytes were on the disk.
        Reading hundreds of gigabytes again at every start would add nothing.
        """
        path = folder / _path_of(slide)
        return _path_of(slide) if path.is_file() and path.stat().st_size == slide.file_size else ""

    def arrived_bytes(self, slide: ListedSlide, folder: Path) -> int:
        """Bytes of its ``.part``."""
        return size_of(part_of(folder / _path_of(slide)))

    def fetch(self, slide: ListedSlide, folder: Path, which: str) -> None:
        """One file, whose MD5 the list has."""
        address = f"{self._base_url}/data/{slide.file_id}"
        file = RemoteFile(address, slide.file_name, slide.file_size, f"md5:{slide.md5sum}")
        self._service.fetch(file, folder / _path_of(slide), which)


def fetch_slides(
    project: str,
    out_dir: Path,
    *,
    limit: int | None,
    smallest: bool,
    log: Log,
    base_url: str = GDC_API,
    retry_wait_s: float = RETRY_WAIT_S,
    read_timeout_s: float = READ_TIMEOUT_S,
) -> SlideManifest:
    """List the slides of a project, choose some and download them. Slides that are already there are not downloaded again.

    Slides go to ``out_dir/slides/<file_id>/<file_name>``. ``manifest.csv`` (``path, label, source_group, …``; the path is
    empty until the slide is there) and ``excluded.csv`` are written before the first download, and the manifest again after
    each, so an interruption loses nothing. A partial download is kept as ``.part``, and the next run continues it.

    Parameters
    ----------
    limit, smallest : as ``choose_slides`` takes them
    retry_wait_s : float
        Wait before the second attempt in seconds; it doubles each time, up to ``LONGEST_WAIT_S``.
    read_timeout_s : float
        Longest silence of the server in seconds.

    Raises
    ------
    DownloadFailed
        If the service does not answer as documented, the project has no suitable slide, a slide cannot be downloaded
        completely, or the disk is too small or full.
    """
    with Downloader(SERVICE, log=log, retry_wait_s=retry_wait_s, read_timeout_s=read_timeout_s) as service:
        archive = GenomicDataCommons(service, project, base_url)
        manifest = choose_slides(archive, out_dir, limit=limit, smallest=smallest, log=log)
        fetch_chosen(manifest, archive, log)
    return manifest


def _path_of(slide: ListedSlide) -> str:
    return f"slides/{slide.file_id}/{slide.file_name}"


# What the files endpoint must answer. Fields that are not asked for may come and are ignored.


class _Diagnosis(BaseModel):
    primary_diagnosis: str | None = None


class _Case(BaseModel):
    submitter_id: Annotated[str, Field(min_length=1)]
    diagnoses: list[_Diagnosis] | None = None


class _Hit(BaseModel):
    file_id: Annotated[str, Field(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
    # It becomes a file name on this disk: no folders, not hidden, not longer than file systems allow.
    file_name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_ .,&()+-]*$", max_length=200)]
    file_size: Annotated[int, Field(gt=0)]
    md5sum: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    cases: list[_Case]

    def as_slide(self) -> ListedSlide:
        patients = sorted({case.submitter_id for case in self.cases})
        diagnoses = [entry.primary_diagnosis for case in self.cases for entry in case.diagnoses or []]
        if len(patients) == 1:
            label, reason = classify(diagnoses)
        else:
            label, reason = "", "several patients on one file" if patients else "no patient"
        return ListedSlide(
            file_id=self.file_id,
            file_name=self.file_name,
            file_size=self.file_size,
            md5sum=self.md5sum,
            source_group="; ".join(patients),
            primary_diagnosis="; ".join(sorted({text for text in diagnoses if text})),
            label=label,
            reason=reason,
        )


class _Pagination(BaseModel):
    total: Annotated[int, Field(ge=0)]


class _Page(BaseModel):
    hits: list[_Hit]
    pagination: _Pagination


class _Reply(BaseModel):
    data: _Page


def _question(project: str, start: int) -> dict[str, Any]:
    wanted = {
        "cases.project.project_id": project,
        "data_format": "SVS",
        "experimental_strategy": "Diagnostic Slide",
        "access": "open",
    }
    filters = [{"op": "in", "content": {"field": name, "value": [value]}} for name, value in wanted.items()]
    return {
        "filters": {"op": "and", "content": filters},
        "fields": ",".join(FIELDS),
        "format": "JSON",
        "from": start,
        "size": PAGE_SIZE,
        "sort": "file_id:asc",
    }


def _page(reply: bytes) -> _Page:
    try:
        return _Reply.model_validate_json(reply).data
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "the whole reply"
        opening = reply[:60].decode("utf-8", "replace")
        raise undocumented(
            SERVICE,
            "JSON with the id, plain name, size, MD5 and cases of every file",
            f"at {place}: {first['msg']}; the reply begins with {opening!r}",
        ) from error
