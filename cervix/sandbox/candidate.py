"""The sample candidate: a bundle that was really retrained from the labels of the scripted readers, kept beside its parent.

The package holds only what it has besides the bundle that ships with the app. ``python -m training sample-candidate`` makes it
again, and has to whenever that bundle, the readers or the drawn slides change.
"""

import hashlib
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from cervix.bundle import Bundle
from cervix.bundle.loading import bundle_label
from cervix.bundle.manifest import MANIFEST_NAME, Lineage, Manifest, Model
from cervix.errors import BundleError
from cervix.files import sha256_of
from cervix.labels import Score
from cervix.sandbox.delta import arrays_in, npz_of, unpack

ARCHIVE = Path(__file__).parent / "candidate.zip"
REMAKE = "python -m training sample-candidate"
SCORES, LOG = "scores.npz", "log.txt"


@dataclass(frozen=True)
class SampleCandidate:
    """What the archive says of its bundle."""

    manifest: Manifest
    sha256: str
    log: str
    """What the trainer said, as ``cervix.retraining.log`` reads it."""

    @property
    def label(self) -> str:
        """As ``Bundle.label``."""
        return bundle_label(self.manifest.name, self.manifest.version, self.sha256)

    @property
    def model(self) -> Model:
        """The model that was retrained."""
        return next(model for model in self.manifest.models if model.lineage is not None)

    @property
    def lineage(self) -> Lineage:
        """Where that model comes from."""
        assert self.model.lineage is not None, "it was chosen for it"
        return self.model.lineage


@cache
def sample_candidate(archive: Path = ARCHIVE) -> SampleCandidate:
    """What the package says of the candidate; ``BundleError`` where it has none that this version can read."""
    try:
        with zipfile.ZipFile(archive) as opened:
            text, log = opened.read(MANIFEST_NAME), opened.read(LOG).decode()
        return SampleCandidate(Manifest.model_validate_json(text), hashlib.sha256(text).hexdigest(), log)
    except (OSError, zipfile.BadZipFile, KeyError, ValidationError) as error:
        raise BundleError(
            "The sample candidate of this package cannot be read",
            expected=archive.name,
            found=type(error).__name__,
            action=f"Make it again: {REMAKE}.",
        ) from error


def is_sampled(bundle: Bundle, archive: Path = ARCHIVE) -> bool:
    """Whether the package has a candidate that was made from this bundle."""
    try:
        return sample_candidate(archive).lineage.parent_sha256 == bundle.sha256
    except BundleError:
        return False  # who needs the candidate itself is told why


def candidate_of(bundle: Bundle, folder: Path, archive: Path = ARCHIVE) -> Path:
    """Put the candidate together beside its parent; returns ``folder``, which is whole or not there. It is made once.

    Parameters
    ----------
    bundle : Bundle
        The one that it was made from; the candidate itself where it is active already.

    Raises
    ------
    BundleError
        If the bundle is another one, the folder holds another bundle, or a file does not become what its hash says.
    OSError
        If it cannot be written.
    """
    sample = sample_candidate(archive)
    if bundle.sha256 == sample.sha256:
        return bundle.root
    if bundle.sha256 != sample.lineage.parent_sha256:
        raise BundleError(
            "The sample candidate was retrained from another bundle",
            expected=sample.lineage.parent,
            found=bundle.label,
            action=f"Roll back to that one, or make the candidate again: {REMAKE}.",
        )
    if (folder / MANIFEST_NAME).is_file():
        # Not by reading it as a bundle: with a key that is left to the session that plays.
        if sha256_of(folder / MANIFEST_NAME) != sample.sha256:
            raise BundleError(f"The folder {folder.name} holds another bundle", expected=sample.label, action="Move it away.")
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as place:
        made = Path(place) / folder.name
        unpack(archive, bundle.root, made)
        made.replace(folder)
    return folder


def packed_scores(bundle: Bundle, pixels_sha256: Sequence[str], scores: Sequence[Score]) -> bytes:
    """What the parent makes of the tiles, as the archive keeps it, by the SHA-256 of their pixels."""
    classes = bundle.session_of("tile").model.class_ids
    return npz_of(
        {
            "pixels": np.array(pixels_sha256),
            "probabilities": np.array([[score.probabilities[name] for name in classes] for score in scores], np.float32),
            "embedding": np.stack([score.embedding for score in scores if score.embedding is not None]),
            "novelty": np.array([score.novelty for score in scores], np.float32),
            "precision": np.array(bundle.session_of("tile").variant.precision),
        }
    )


def shipped_scores(bundle: Bundle, tiles: Mapping[str, str], archive: Path = ARCHIVE) -> list[Score]:
    """What the package holds of these tiles already; none where they, the bundle or its variant are others.

    Parameters
    ----------
    tiles : id of a case -> SHA-256 of its pixels
    """
    session = bundle.session_of("tile")
    if not is_sampled(bundle, archive):
        return []
    with zipfile.ZipFile(archive) as opened:
        kept = arrays_in(opened.read(SCORES))
    if str(kept["precision"]) != session.variant.precision:
        return []
    rows = {str(pixels): row for row, pixels in enumerate(kept["pixels"])}
    return [
        Score(
            case_id,
            session.model.id,
            bundle.sha256,
            bundle.manifest.version,
            dict(zip(session.model.class_ids, kept["probabilities"][row].tolist(), strict=True)),
            kept["embedding"][row],
            float(kept["novelty"][row]),
        )
        for case_id, pixels in tiles.items()
        if (row := rows.get(pixels)) is not None
    ]
