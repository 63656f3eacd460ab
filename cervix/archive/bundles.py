"""The bundle that a run keeps for itself, so that a promotion in the middle changes nothing."""

import shutil
import tempfile
from pathlib import Path
from typing import Final

from cervix.archive.runs import BEFORE_NAME, BUNDLE_NAME
from cervix.bundle.loading import read_manifest, read_verified
from cervix.bundle.manifest import MANIFEST_NAME, Manifest, Model, ModelKind
from cervix.bundle.signature import SIGNATURE_NAME, signature_of
from cervix.errors import BundleError
from cervix.outside_names import inside

_PART: Final = ".bundle-"


def keep_bundle(out: Path, root: Path, sha256: str) -> None:
    """Copy a bundle into a run's folder, every file checked; nothing where it is there already.

    The manifest of the one that was there stays under ``bundles-before``.

    Raises
    ------
    BundleError
        Where the bundle is not what its manifest declares, or not the one meant.
    """
    for left in out.glob(f"{_PART}*"):  # of a process that was killed
        shutil.rmtree(left)
    own = out / BUNDLE_NAME
    there = _sha256_of(own)
    if there == sha256:
        return
    _, found, contents = read_verified(root)
    if found != sha256:
        raise BundleError("The bundle was replaced while the run began", action="Begin again.")
    part = Path(tempfile.mkdtemp(prefix=_PART, dir=out))
    signature = signature_of(root)
    beside = {MANIFEST_NAME: (root / MANIFEST_NAME).read_bytes()} | ({} if signature is None else {SIGNATURE_NAME: signature})
    for name, content in {**contents, **beside}.items():
        path = inside(part, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    if there is not None:
        kept = out / BEFORE_NAME / there
        kept.mkdir(parents=True, exist_ok=True)
        for name in (MANIFEST_NAME, SIGNATURE_NAME):
            if (own / name).is_file():
                shutil.copyfile(own / name, kept / name)
    if own.exists():
        shutil.rmtree(own)
    part.rename(own)


def model_of(out: Path, kind: ModelKind, named: str = "") -> Model:
    """The model of a kind in a run's own bundle that is named, or the first; ``BundleError`` where there is none."""
    return read_manifest(out / BUNDLE_NAME)[0].first_of(kind, named)


def manifest_before(out: Path, sha256: str) -> Manifest | None:
    """The manifest of a bundle that a run had before; None where it is not kept."""
    kept = out / BEFORE_NAME / sha256
    return read_manifest(kept)[0] if _sha256_of(kept) == sha256 else None


def answers_alike(before: Manifest, now: Manifest, precision: str) -> bool:
    """Whether two bundles answer every tile alike: the same graph for the same tiles, whatever is decided from them."""
    models = before.first_of("tile"), now.first_of("tile")
    graphs = {_graph_sha256(manifest, precision) for manifest in (before, now)}
    alike = len(graphs) == 1 and None not in graphs
    return alike and all(
        getattr(models[0], part) == getattr(models[1], part) for part in ("tiles", "class_ids", "inputs", "outputs")
    )


def _graph_sha256(manifest: Manifest, precision: str) -> str | None:
    files = {variant.file for variant in manifest.first_of("tile").variants if variant.precision == precision}
    return next((file.sha256 for file in manifest.files if file.path in files), None)


def _sha256_of(root: Path) -> str | None:
    try:
        return read_manifest(root)[1]
    except BundleError:
        return None
