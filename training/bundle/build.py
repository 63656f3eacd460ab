"""Assemble a bundle from the outputs of the recipes, and prove it before it replaces the old one."""

import shutil
import subprocess
import tempfile
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from cervix.bundle.card_facts import CardFacts
from cervix.bundle.manifest import (
    CARD_NAME,
    MANIFEST_NAME,
    SCHEMA_NAME,
    SCHEMA_VERSION,
    BundleFile,
    Manifest,
    Model,
    json_schema,
    manifest_text,
    schema_path,
)
from cervix.bundle.signature import unsigned_allowed
from cervix.card.markdown import model_card
from cervix.errors import BundleError
from cervix.files import replacing, sha256_of
from cervix.patients.golden import prove_bundle, prove_variants
from cervix.settings import PROJECT_ROOT
from training.bundle.cost import with_cost

BUNDLE_NAME = "cervix-demonstration"
BUNDLE_VERSION = "0.8.0"
CHANGELOG = [
    "0.8.0: a boosting model on summaries of visits, the history model's rival on the same women, and a model of microRNA, the "
    "first that learned from real cervical tumours. The other models are those of 0.7.1.",
    "0.7.1: two known failures of the slide model more, on oral epithelium. The models are those of 0.7.0.",
    "0.7.0: history model of another cohort, held against published risks of real women: the simulator is fitted to part of "
    "them, the rest reports. It reads episodes and the dual stain, answers at once and within 1, 3 and 5 years, and says how "
    "far its training reached. The hybrid reads it. Slide and risk-factor models are those of 0.6.0.",
    "0.6.0: slide model of four classes from nine sources of seven laboratories, each left out once; it refuses by distance "
    "and doubt, and its slide rule was fitted on pseudo-slides. The hybrid reads it. History and risk-factor models are of "
    "0.5.2; held-out probabilities keep twelve binary digits.",
    "0.5.2: the second contract: each class has a title, a short name, a colour and a role, each model a kind. Models "
    "and figures are those of 0.5.0.",
    "0.5.1: the manifest says how rows of the risk-factor table were grouped for the model without the other tests. Models and "
    "figures are those of 0.5.0.",
    "0.5.0: slide and history model carry their rehearsal, so that labels can retrain them without tiles or cohort. The models "
    "themselves are those of 0.4.0.",
    "0.4.0: the manifest holds what the model card needs and nobody can compute (use, users, risks, licences, citations), and "
    "what a timed training run cost. The models themselves are those of 0.3.0.",
    "0.3.0: history model on simulated screening histories and hybrid on made-up pairs, both new. A linear path from block 4 "
    "joins the slide model. Risk-factor models: repeated cross-validation, and the steps by which 0.99 arises.",
    "0.2.0: slide model with block 5 fine-tuned under stain augmentation and novelty measured on block 4; the published "
    "recipe, search, robustness and Grad-CAM checks recorded. Larger validation split, same test source images.",
    "0.1.0: first bundle. Slide model on frozen VGG16 features; risk-factor LSTM with and without other tests.",
]
SIZE_LIMIT_BYTES = 60_000_000
"""Largest size of the bundle that is kept with the code."""
CARD_FACTS = Path(__file__).parents[1] / "recipes/card.toml"
RECORDED_PACKAGES = (
    "tensorflow",
    "keras",
    "tf2onnx",
    "onnx",
    "onnxruntime-gpu",
    "scikit-learn",
    "numpy",
    "pandas",
    "hpvsim",
    "starsim",
)


@dataclass(frozen=True)
class About:
    """What a manifest says of the bundle as a whole."""

    name: str
    version: str
    changelog: list[str]
    stage: Literal["demonstration", "research"]
    git_commit: str
    card: CardFacts
    size_limit_bytes: int


def about_build(models: list[Model]) -> About:
    """What ``python -m training build`` says of its bundle."""
    card = card_facts().of([model.id for model in models])
    return About(BUNDLE_NAME, BUNDLE_VERSION, CHANGELOG, "demonstration", git_commit(), card, SIZE_LIMIT_BYTES)


def in_order(models: Iterable[Model]) -> list[Model]:
    """Tile models first, then kind by kind in the order of their first ids; within a kind as given."""
    listed = list(models)
    first = {kind: min(model.id for model in listed if model.kind == kind) for kind in {model.kind for model in listed}}
    return sorted(listed, key=lambda model: (model.kind != "tile", first[model.kind]))


def assemble_bundle(parts_dir: Path, bundle_dir: Path, models: list[Model], about: About) -> Manifest:
    """Put the models' files, manifest, schema and card together, verify every variant, then write the bundle.

    Raises
    ------
    BundleError
        If the bundle is too large or a golden vector is not reproduced. An existing bundle stays unchanged.
    """
    paths = sorted({path for model in models for path in model.files})
    files = [
        BundleFile(path=path, bytes=(parts_dir / path).stat().st_size, sha256=sha256_of(parts_dir / path)) for path in paths
    ]
    total = sum(file.bytes for file in files)
    limit = about.size_limit_bytes
    if total > limit:
        raise BundleError("The bundle is too large", expected=f"{limit:,} bytes", found=f"{total:,} bytes")
    models = [with_cost(model, parts_dir) for model in models]
    manifest = Manifest(
        schema_version=SCHEMA_VERSION,
        name=about.name,
        version=about.version,
        changelog=about.changelog,
        created=datetime.now(UTC).replace(microsecond=0),
        stage=about.stage,
        git_commit=about.git_commit,
        packages={name: version(name) for name in RECORDED_PACKAGES},
        files=files,
        models=models,
        card=about.card,
    )
    with tempfile.TemporaryDirectory() as folder:
        staged = Path(folder)
        for file in files:
            _copy(parts_dir, staged, file.path)
        _write_text(schema_path(staged), json_schema())
        _write_text(staged / MANIFEST_NAME, manifest_text(manifest))
        with unsigned_allowed():  # it is being made: whoever holds the key signs it afterwards
            failed = [check for check in prove_variants(staged, device="cpu") if not check.passed]
            if failed:
                raise BundleError("The new bundle does not reproduce its own golden vectors", found=str(failed[0]))
            _write_text(staged / CARD_NAME, model_card(prove_bundle(staged, device="cpu")))
        for path in (*(file.path for file in files), SCHEMA_NAME, CARD_NAME, MANIFEST_NAME):
            _copy(staged, bundle_dir, path)
    return manifest


def card_facts() -> CardFacts:
    """The hand-written facts of the card; ``BundleError`` if the file is not valid."""
    try:
        return CardFacts.model_validate(tomllib.loads(CARD_FACTS.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BundleError(f"{CARD_FACTS.name} is not complete at {where}", expected=first["msg"]) from error


def _copy(source: Path, target: Path, name: str) -> None:
    with replacing(target / name) as temporary:
        shutil.copyfile(source / name, temporary)
        # Bundles are passed on: in the container they are read by another user than the one who built them.
        temporary.chmod(0o644)


def git_commit() -> str:
    """The commit of the training code, marked ``-dirty`` where it had changes."""
    commit = _git("rev-parse", "HEAD")
    changed = _git("status", "--porcelain", "--", "training", "cervix")
    return f"{commit}-dirty" if changed else commit


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _write_text(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
