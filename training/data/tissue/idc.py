"""Open-access slides of a TCGA project as DICOM series, from the NCI Imaging Data Commons.

Addresses are a table of its index (package ``idc-index-data``); diagnoses are those of the Genomic Data Commons, patient by
patient.
"""

import re
from pathlib import Path
from typing import Annotated

import pandas as pd
from pydantic import BaseModel, Field, ValidationError

from cervix.errors import DownloadFailed
from cervix.sources.downloads import Downloader
from cervix.sources.idc import IDC_ADDRESS, Series, arrived_bytes, fetch_series
from cervix.sources.identity import slides_in
from training.data.tissue.collecting import ListedSlide
from training.data.tissue.gdc import GenomicDataCommons

DIAGNOSTIC = r"FFPE HE .*DX\d+"
"""Series Description of what the Genomic Data Commons calls a diagnostic slide: formalin-fixed, H&E, DX."""
NO_CASE = "patient not among those with diagnostic slides in the Genomic Data Commons"


class _Address(BaseModel):
    """A row of the table of addresses; further columns are ignored."""

    patient: Annotated[str, Field(alias="PatientID", pattern=r"^[A-Za-z0-9][A-Za-z0-9-]*$")]
    description: Annotated[str, Field(alias="SeriesDescription")]
    series: Annotated[str, Field(alias="crdc_series_uuid", pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
    bucket: Annotated[str, Field(alias="aws_bucket", pattern=r"^[a-z0-9][a-z0-9.-]*$")]
    size_mb: Annotated[float, Field(alias="series_size_MB", gt=0)]
    instances: Annotated[int, Field(alias="instanceCount", gt=0)]


class ImagingDataCommons:
    """The diagnostic slides of a table of addresses as an ``Archive``; a slide is a folder of DICOM files.

    A series arrives in ``slides/<series>.coming`` and gets its name when all of its files are there.

    Parameters
    ----------
    addresses : Path
        CSV with ``PatientID, SeriesDescription, crdc_series_uuid, aws_bucket, series_size_MB, instanceCount``.
    diagnoses : GenomicDataCommons
        Where the class of each patient comes from.
    address : str
        Of the buckets; ``{bucket}`` stands for the name of one.
    """

    def __init__(
        self, service: Downloader, addresses: Path, diagnoses: GenomicDataCommons, address: str = IDC_ADDRESS
    ) -> None:  # fmt: skip
        self.title = diagnoses.title
        self._service, self._diagnoses, self._address = service, diagnoses, address
        self._rows = {row.series: row for row in _read(addresses) if re.fullmatch(DIAGNOSTIC, row.description)}

    def listed(self) -> list[ListedSlide]:
        """Every diagnostic slide of the table, with its patient's class."""
        cases = {slide.source_group: slide for slide in self._diagnoses.listed()}
        slides = []
        for row in self._rows.values():
            case = cases.get(row.patient)
            slides.append(
                ListedSlide(
                    file_id=row.series,
                    file_name=f"{row.patient} {row.description}",
                    file_size=round(row.size_mb * 1e6),
                    md5sum="",
                    source_group=row.patient,
                    primary_diagnosis=case.primary_diagnosis if case else "",
                    label=case.label if case else "",
                    reason=case.reason if case else NO_CASE,
                )
            )
        return slides

    def opened_by(self, slide: ListedSlide, folder: Path) -> str:
        """The first file of its series that shows tissue."""
        found = slides_in(folder / "slides" / slide.file_id)
        return found[0].relative_to(folder).as_posix() if found else ""

    def arrived_bytes(self, slide: ListedSlide, folder: Path) -> int:
        """Bytes of its files, whole or not."""
        return arrived_bytes(folder / "slides" / slide.file_id)

    def fetch(self, slide: ListedSlide, folder: Path, which: str) -> None:
        """All files of a series. Those that are whole are not fetched again."""
        row = self._rows[slide.file_id]
        series = Series(row.series, row.bucket, row.instances)
        fetch_series(self._service, series, folder / "slides" / slide.file_id, self._address, which)


def _read(addresses: Path) -> list[_Address]:
    if not addresses.is_file():
        raise DownloadFailed("No table of addresses", expected=str(addresses), found="no such file")
    try:
        table = pd.read_csv(addresses, dtype=str, keep_default_na=False)
        return [_Address.model_validate(row) for row in table.to_dict("records")]
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise _no_table(addresses, f"{first['loc'][0]}: {first['msg']}") from error
    except ValueError as error:
        raise _no_table(addresses, str(error)) from error


def _no_table(addresses: Path, found: str) -> DownloadFailed:
    columns = ", ".join(str(field.alias) for field in _Address.model_fields.values())
    return DownloadFailed(f"The table of addresses {addresses.name} cannot be used", expected=f"columns {columns}", found=found)
