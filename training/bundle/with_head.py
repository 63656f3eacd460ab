"""A candidate bundle: the parent with a slide head beside its models."""

from pathlib import Path
from typing import Any

from cervix.bundle import Bundle
from cervix.bundle.card_facts import ModelFacts
from cervix.bundle.manifest import Model
from cervix.patients.golden import prove_bundle
from training.bundle.beside import assemble_beside
from training.bundle.candidate import new_candidate, require_new
from training.shared.declared import read_recipe
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
    return assemble_beside(parent, [head], {head.id: ModelFacts.model_validate(card)}, parts, whole)
