"""The kinds of sources of slides. A new one is a file beside this one, and a line here."""

from collections.abc import Iterator

from cervix.archive.sources.dicomweb import Dicomweb
from cervix.archive.sources.folders import Folders
from cervix.archive.sources.kind import SourceKind
from cervix.archive.sources.manifests import Manifests
from cervix.archive.sources.passed_over import PassedOver
from cervix.archive.sources.s3 import S3
from cervix.archive.work import Found
from cervix.errors import ArchiveRunRefused
from cervix.settings import Settings


def listed_one(source: str, settings: Settings, passed: PassedOver) -> Iterator[Found]:
    """The slides of one source."""
    return kind_of(source).listed(source, settings, passed)


KINDS: list[SourceKind] = [
    S3(),
    Dicomweb(),
    Manifests(listed_one),
    Folders(),
]
"""In the order in which they are asked."""


def kind_of(source: str) -> SourceKind:
    """The kind that lists a source, or holds a slide by its locator.

    Raises ``ArchiveRunRefused`` where there is none.
    """
    kind = next((kind for kind in KINDS if kind.matches(source)), None)
    if kind is None:
        raise ArchiveRunRefused(
            "A source is of no kind that can be listed",
            expected="a folder, a slide, a list of slides as CSV, s3://bucket/prefix, or dicomweb:?Modality=SM",
            found="another address",
        )
    return kind
