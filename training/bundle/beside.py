"""A bundle with new models beside those of its parent, which are copied unchanged."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from cervix.bundle import Bundle
from cervix.bundle.card_facts import CardFacts, Citation, Licence, ModelFacts
from cervix.bundle.manifest import MANIFEST_NAME, Manifest, Model
from cervix.errors import BundleError
from cervix.files import sha256_of
from cervix.patients.golden import prove_bundle
from training.bundle.build import BUNDLE_NAME, CARD_FACTS, About, assemble_bundle, card_facts, in_order
from training.bundle.candidate import CANDIDATE_LIMIT_BYTES, candidate_commit, new_candidate, require_new
from training.bundle.cost import COST_NAME
from training.shared.retrain_parts import copied
from training.shared.stages import Log


def add_models(parent_dir: Path, entries: Sequence[Path], parts_dir: Path, out: Path, log: Log) -> str:
    """Put models of our recipes beside a bundle's and prove the bundle in ``out``; its name, version and short hash.

    Parameters
    ----------
    entries : the entry that each recipe wrote, as JSON
    parts_dir : where the files of these models are

    Raises
    ------
    CandidateRefused
        If ``out`` is there already.
    BundleError
        If an entry is not there, the card has no words for a model, or parent or candidate does not prove itself.
    """
    require_new(out)
    if missing := [path.parent.name for path in entries if not path.is_file()]:
        raise BundleError(
            "Models were not trained yet",
            expected=f"their entries under {parts_dir.name}/",
            found=f"none of {', '.join(missing)}",
            action="Train each by its own command first, with the same folder.",
        )
    added = [Model.model_validate_json(path.read_bytes()) for path in entries]
    facts = card_facts().models
    if unknown := [model.id for model in added if model.id not in facts]:
        raise BundleError(
            "The card has no words for a model",
            expected=f"[models.{unknown[0]}] in {CARD_FACTS.name}",
            found="none",
            action="Write them first: whom the model is for, and whom not.",
        )
    parent = prove_bundle(parent_dir, device="cpu")
    log(f"{', '.join(model.id for model in added)} beside {parent.label}")
    with new_candidate(out) as (parts, whole):
        for model in added:
            for name in (*model.files, f"{model.id}/{COST_NAME}"):
                if (parts_dir / name).is_file():
                    (parts / name).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(parts_dir / name, parts / name)
        return assemble_beside(parent, added, {model.id: facts[model.id] for model in added}, parts, whole)


def assemble_beside(
    parent: Bundle, added: Sequence[Model], facts: Mapping[str, ModelFacts], parts: Path, whole: Path,
    *, licences: Sequence[Licence] = (), citations: Sequence[Citation] = (),
) -> str:  # fmt: skip
    """Put models, whose files are in ``parts``, beside the parent's and prove the bundle in ``whole``; its label.

    A model of the same id is replaced. Those of a kind stand together, the parent's first: it stays the one that is asked
    where nobody chooses.

    Parameters
    ----------
    facts : id -> what the card says of each added model
    licences, citations : of theirs, beside those of the bundle
    """
    replaced = {model.id for model in added}
    others = [model for model in parent.manifest.models if model.id not in replaced]
    for model in others:
        copied(parent, model.files, parts)
    models = in_order([*others, *added])
    about = _about(parent.manifest, parent.label, added, facts)
    more = {
        "licences": [*about.card.licences, *(one for one in licences if one not in about.card.licences)],
        "citations": [*about.card.citations, *(one for one in citations if one not in about.card.citations)],
    }
    manifest = assemble_bundle(parts, whole, models, replace(about, card=about.card.model_copy(update=more)))
    return Bundle(whole, manifest, sha256_of(whole / MANIFEST_NAME), {}, []).label


def next_version(before: Manifest, added: Sequence[Model]) -> str:
    """A model that was not there is a minor step, one that is replaced a patch."""
    major, minor, patch = (int(part) for part in before.version.split("."))
    new = {model.id for model in added} - {model.id for model in before.models}
    return f"{major}.{minor + 1}.0" if new else f"{major}.{minor}.{patch + 1}"


def _about(before: Manifest, label: str, added: Sequence[Model], facts: Mapping[str, ModelFacts]) -> About:
    version = next_version(before, added)
    named = " and ".join(f"{model.id} ({model.title})" for model in added)
    return About(
        name=before.name,
        version=version,
        changelog=[f"{version}: {named} beside the models of {label}, which are unchanged.", *before.changelog],
        stage=before.stage,
        git_commit=candidate_commit(before.git_commit),
        card=_card(before, facts),
        size_limit_bytes=CANDIDATE_LIMIT_BYTES,
    )


def _card(before: Manifest, facts: Mapping[str, ModelFacts]) -> CardFacts:
    """Of the whole bundle what is written of ours, where it is one; a bundle of somebody else keeps its own words."""
    whole = card_facts() if before.name == BUNDLE_NAME else before.card
    return whole.model_copy(update={"models": {**before.card.models, **facts}})
