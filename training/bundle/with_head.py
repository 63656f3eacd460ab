"""A candidate bundle: the parent with a slide head beside its models."""

from pathlib import Path
from typing import Any

from cervix.bundle import Bundle
from cervix.bundle.card_facts import ModelFacts
from cervix.bundle.manifest import MANIFEST_NAME, Model
from cervix.files import sha256_of
from cervix.patients.golden import prove_bundle
from training.bundle.build import About, assemble_bundle
from training.bundle.candidate import CANDIDATE_LIMIT_BYTES, candidate_commit, new_candidate, require_new
from training.shared.declared import read_recipe
from training.shared.retrain_parts import copied
from training.shared.stages import Log
from training.slide.head.recipe import train_slide_head


def make_head_candidate(parent_dir: Path, recipe_path: Path, out: Path, log: Log) -> str:
    """Train a slide head for a bundle's tile model and put both into ``out``; its name, version and short hash.

    Raises
    ------
    CandidateRefused
        If ``out`` is there already.
    BundleError
        If the parent or the candidate does not prove itself, or the parent lacks what the head is trained on.
    """
    require_new(out)
    parent = prove_bundle(parent_dir, device="cpu")
    log(f"a slide head for {parent.label}")
    with new_candidate(out) as (parts, whole):
        head = train_slide_head(recipe_path, parent, parts, log)
        return assemble_with_head(parent, head, read_recipe(recipe_path)["card"], parts, whole)


def assemble_with_head(parent: Bundle, head: Model, card: dict[str, Any], parts: Path, whole: Path) -> str:
    """Put a head, whose files are in ``parts``, beside the parent's models and prove the bundle in ``whole``.

    A head of the same id is replaced. ``card`` holds its hand-written facts.
    """
    others = [model for model in parent.manifest.models if model.id != head.id]
    for model in others:
        copied(parent, model.files, parts)
    manifest = assemble_bundle(parts, whole, [*others, head], _about(parent, head, ModelFacts.model_validate(card)))
    return Bundle(whole, manifest, sha256_of(whole / MANIFEST_NAME), {}, []).label


def _about(parent: Bundle, head: Model, facts: ModelFacts) -> About:
    before = parent.manifest
    major, minor, patch = (int(part) for part in before.version.split("."))
    version = f"{major}.{minor}.{patch + 1}"
    return About(
        name=before.name,
        version=version,
        changelog=[f"{version}: slide head {head.id} beside {parent.label}, whose models are unchanged.", *before.changelog],
        stage=before.stage,
        git_commit=candidate_commit(before.git_commit),
        card=before.card.model_copy(update={"models": {**before.card.models, head.id: facts}}),
        size_limit_bytes=CANDIDATE_LIMIT_BYTES,
    )
