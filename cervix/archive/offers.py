"""Which sources people may choose in the app: never more of this server than its inbox folders show."""

from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Final

from cervix.errors import ArchiveRunRefused
from cervix.outside_names import inside
from cervix.samples.slides import DRAWN_FILES
from cervix.settings import Settings

OBJECTS: Final = "s3://"
HOSPITAL: Final = "dicomweb:?Modality=SM"
"""Every whole-slide series that the hospital's archive holds (DICOM PS3.3, C.7.3.1.1.1: SM is slide microscopy)."""
SAMPLES: Final = "samples"


@dataclass(frozen=True)
class Offer:
    """A source that is offered."""

    id: str
    title: str
    source: str
    """As ``python -m cervix archive score`` takes it."""


def offers(settings: Settings) -> list[Offer]:
    """The sources of an installation, those that hold slides of its own before the samples."""
    folders = [
        Offer(f"folder {place}", f"Server folder {folder.name}", str(folder)) for place, folder in enumerate(settings.inbox, 1)
    ]
    archive = [Offer("hospital", "The hospital's archive", HOSPITAL)] if settings.archive_url else []
    return [*folders, *archive, Offer(SAMPLES, "Sample slides (drawn)", str(DRAWN_FILES))]


def typed_source(text: str, settings: Settings) -> str:
    """A source that somebody typed: a prefix of an object store, or a folder within one of the inbox folders.

    Raises
    ------
    ArchiveRunRefused
        Where it is neither, or the folder is not there.
    """
    text = text.strip()
    if text.startswith(OBJECTS) and len(text) > len(OBJECTS):
        if settings.offline:
            raise ArchiveRunRefused("The network may not be used", action="Start the app without CERVIX_OFFLINE.")
        return text
    for folder in settings.inbox:
        for root in dict.fromkeys((folder, folder.resolve())):
            if PurePath(text).is_relative_to(root):
                within = PurePath(text).relative_to(root)
                path = inside(folder, within.as_posix()) if within.parts else folder
                return _there(path)
    raise ArchiveRunRefused(
        "This is no source that may be used here",
        expected="s3://bucket/prefix, or a folder within one of the server folders",
        action="Ask whoever runs the server to add it to CERVIX_INBOX.",
    )


def _there(path: Path) -> str:
    if not path.is_dir():
        raise ArchiveRunRefused("The folder is not there", action="Look at its name.")
    return str(path)
