"""The hospital's archive: slides looked for, fetched, and objects stored, by DICOMweb (DICOM PS3.18).

What it answers of patients is not read, but for the moment in which objects that are stored get their patient
(``Archive.study_attributes``). Names of files come from UIDs through a hash; nothing else of an answer becomes a path.
"""

import logging

from cervix.sources.dicomweb.access import archive_of
from cervix.sources.dicomweb.client import PAGE, Archive, ArchivedInstance, ArchivedSeries, FoundSeries

__all__ = ["PAGE", "Archive", "ArchivedInstance", "ArchivedSeries", "FoundSeries", "archive_of"]

# Addresses of DICOMweb say what was looked for, and urllib3 writes every address into its log.
logging.getLogger("urllib3").setLevel(logging.ERROR)
