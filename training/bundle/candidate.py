"""From labels to a candidate bundle: the parent bundle with its models retrained on readers' labels."""

import subprocess
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cervix.bundle import Bundle
from cervix.bundle.manifest import MANIFEST_NAME, Model, ModelKind
from cervix.errors import CervixError
from cervix.files import sha256_of
from cervix.labels import LabelStore
from cervix.labels.store.cases import PATIENT_LABELS
from cervix.patients.golden import prove_bundle
from cervix.retraining.readiness import RETRAINABLE
from training.bundle.build import About, assemble_bundle, git_commit
from training.history.retrain import retrain_history
from training.shared.installation_labels import Labels, LabelsTooFew, read_labels
from training.shared.retrain_parts import Progress, copied
from training.shared.stages import Log
from training.slide.retrain import retrain_slide

Retrain = Callable[[Bundle, Labels, LabelStore, Mapping[str, Any], Path, Log, Progress], Model]
CANDIDATE_LIMIT_BYTES = 200_000_000
"""A candidate is kept in an installation, not with the code, and lists every label event that it learned from."""
RETRAINERS: dict[ModelKind, Retrain] = {"tile": retrain_slide, "sequence": retrain_history}


class CandidateRefused(CervixError, ValueError, code="candidate-refused"):
    """Raised when a candidate cannot be made, or not in the folder asked for."""


def retrain(
    parent_dir: Path, store: LabelStore, models: Sequence[str], recipe_path: Path, seed: int | None, out: Path, by: str,
    log: Log, progress: Callable[[str, float, str], None],
) -> str:  # fmt: skip
    """Make a candidate bundle in ``out`` and return its name, version and short hash. ``out`` is never incomplete.

    Parameters
    ----------
    models : ids to retrain, all or none
        If empty, all models that have enough labels.
    seed : int, optional
        Replaces the recipe's seed.
    by : str
        Name for the audit trail.
    progress : (stage, share of the whole run, description) -> None
        The stage is ``parent`` or ``candidate`` while that is proved, otherwise the id of the model being retrained.

    Raises
    ------
    LabelsTooFew
        If a requested model has too few labels, or no model has enough.
    CandidateRefused
        If ``out`` already exists.
    BundleError
        If the proof of the parent or of the candidate fails, or the parent has no rehearsal.
    """
    require_new(out)
    recipe = tomllib.loads(recipe_path.read_text(encoding="utf-8"))
    recipe = recipe if seed is None else {**recipe, "seed": seed}
    progress("parent", 0.0, "proving the parent")
    parent = prove_bundle(parent_dir, device="cpu")
    log(f"from {parent.label}, recipe {recipe['name']}, seed {recipe['seed']}")
    usable = _usable(parent, store, models, recipe, log)
    with new_candidate(out) as (parts, whole):
        made = {}
        for number, (model_id, labels) in enumerate(usable.items()):

            def within(share: float, what: str, number: int = number, model_id: str = model_id) -> None:
                progress(model_id, 0.05 + 0.6 * (number + share) / len(usable), what)

            made[model_id] = RETRAINERS[parent.manifest.model(model_id).kind](parent, labels, store, recipe, parts, log, within)
        progress("candidate", 0.65, "assembling and proving the candidate")
        label = assemble_candidate(parent, made, parts, whole)
        lineages = {model_id: model.lineage.model_dump() for model_id, model in made.items() if model.lineage}
        store.audit_append(by, "retrain", label, {"folder": out.name, "recipe": recipe["name"], "lineage": lineages})
    progress("candidate", 1.0, "done")
    return label


def require_new(out: Path) -> None:
    """Raise ``CandidateRefused`` if the folder of a candidate is there already."""
    if out.exists():
        raise CandidateRefused("The candidate's folder is there already", expected="a new folder", found=out.name)


@contextmanager
def new_candidate(out: Path) -> Iterator[tuple[Path, Path]]:
    """Yield a folder for the models' files and one for the bundle, which becomes ``out`` when the block succeeds."""
    out.parent.mkdir(parents=True, exist_ok=True)
    # Named after the candidate, so that leftovers of a killed run are not mistaken for the work of another run.
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as place:
        parts, whole = Path(place) / "parts", Path(place) / "bundle"
        yield parts, whole
        whole.replace(out)


def assemble_candidate(parent: Bundle, made: Mapping[str, Model], parts: Path, whole: Path) -> str:
    """Put retrained models beside the parent's others, prove the bundle in ``whole``, and return its label.

    Parameters
    ----------
    made : id -> entry of each retrained model, whose files are in ``parts``

    Raises
    ------
    BundleError
        If it does not prove itself.
    """
    entries = []
    for model in parent.manifest.models:
        if model.id not in made:
            copied(parent, model.files, parts)
        entries.append(Model.model_validate(made.get(model.id, model).model_dump()))
    manifest = assemble_bundle(parts, whole, entries, _about(parent, made))
    return Bundle(whole, manifest, sha256_of(whole / MANIFEST_NAME), {}, []).label


def _usable(
    parent: Bundle, store: LabelStore, models: Sequence[str], recipe: Mapping[str, Any], log: Log
) -> dict[str, Labels]:  # fmt: skip
    """The labels of each model that is retrained."""
    usable: dict[str, Labels] = {}
    problems = []
    # Labels refer to the first model of a kind, because that one scored the cases.
    able = {model.id: model for kind in RETRAINERS for model in parent.manifest.of_kind(kind)[:1]}
    for model_id in models or able:
        if model_id not in able:
            raise CandidateRefused(f"{model_id} cannot be retrained", expected=" or ".join(able), found=model_id)
        kind = RETRAINABLE[able[model_id].kind]
        classes = able[model_id].class_ids if kind == "tile" else PATIENT_LABELS
        labels = read_labels(store, kind, classes)
        try:
            labels.require_enough(recipe["labels"])
        except LabelsTooFew as error:
            if models:
                raise
            problems.append(str(error))
            log(f"{model_id} stays as it is. {error}")
            continue
        usable[model_id] = labels
    if not usable:
        raise LabelsTooFew(" ".join(problems).rstrip(".") or "There is no model to retrain")
    return usable


def _about(parent: Bundle, made: Mapping[str, Model]) -> About:
    before = parent.manifest
    major, minor, patch = (int(part) for part in before.version.split("."))
    version = f"{major}.{minor}.{patch + 1}"
    learned = " and ".join(
        f"{model_id} from {sum(model.lineage.labels.values())} labels" for model_id, model in made.items() if model.lineage
    )
    return About(
        name=before.name,
        version=version,
        changelog=[f"{version}: retrained {learned}, starting from {parent.label}.", *before.changelog],
        stage=before.stage,
        git_commit=candidate_commit(before.git_commit),
        card=before.card,
        size_limit_bytes=CANDIDATE_LIMIT_BYTES,
    )


def candidate_commit(otherwise: str) -> str:
    """The commit of the training code, or the parent's if the code was installed without its history."""
    try:
        return git_commit()
    except (subprocess.CalledProcessError, FileNotFoundError):
        return otherwise
