"""The command that makes a candidate bundle."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import make_url

from cervix.bundle import Bundle
from cervix.settings import PROJECT_ROOT

LABELS_VARIABLE = "CERVIX_LABELS_URL"


@dataclass(frozen=True)
class Recipe:
    """A way to retrain; its numbers stand in ``training/recipes/<id>.toml``."""

    title: str
    words: str
    """What it is for."""


RECIPES: dict[str, Recipe] = {
    "retrain": Recipe("Full", "For a candidate that may be promoted."),
    "retrain-small": Recipe("Quick try", "Fewer rehearsed cases, epochs and folds, to try it out. Not meant to be promoted."),
}
"""Every recipe of retraining by its id, the default first: the one list that page, trainer and library go by."""


class RetrainingOrder(BaseModel):
    """What somebody asked for."""

    model_config = ConfigDict(frozen=True)

    bundle_dir: Path
    """The parent: the bundle that the candidate is made from."""
    bundle_label: str
    bundle_sha256: str
    models: Annotated[list[str], Field(min_length=1)]
    recipe: str
    """One of ``RECIPES``, as it was called then."""
    seed: Annotated[int, Field(ge=0)] | None
    """None: the recipe's."""
    by: str
    """Who asked, as the label store knows readers."""


def order_of(bundle: Bundle, models: Sequence[str], recipe: str, seed: int | None, by: str) -> RetrainingOrder:
    """The order to retrain these models of a bundle."""
    return RetrainingOrder(
        bundle_dir=bundle.root.resolve(),
        bundle_label=bundle.label,
        bundle_sha256=bundle.sha256,
        models=list(models),
        recipe=recipe,
        seed=seed,
        by=by,
    )


def retraining_command(python: Path, order: RetrainingOrder, candidate_dir: Path) -> list[str]:
    """The program with its arguments; where the labels are, it reads from the variable ``CERVIX_LABELS_URL``.

    A command line is there for everybody on the machine to read, and the address may hold a password.
    """
    return [str(python), "-m", "training", "--json", "retrain", *_options(order, candidate_dir)]


def shown_command(order: RetrainingOrder, candidate_dir: Path, labels_url: str, python: str = "python") -> str:
    """The same for people to copy into a shell, with the address of the labels where it can hold no password."""
    is_file = make_url(labels_url).get_backend_name() == "sqlite"
    labels = shlex.quote(labels_url) if is_file else f'"${LABELS_VARIABLE}"'
    start = shlex.join([python, "-m", "training", "retrain"])
    return f"cd {shlex.quote(str(PROJECT_ROOT))}\n{start} --labels {labels} {shlex.join(_options(order, candidate_dir))}"


def _options(order: RetrainingOrder, candidate_dir: Path) -> list[str]:
    models = [part for model in order.models for part in ("--model", model)]
    seed = [] if order.seed is None else ["--seed", str(order.seed)]
    # "=": a name may begin with a dash.
    return [
        "--from",
        str(order.bundle_dir),
        "--out",
        str(candidate_dir),
        *models,
        "--recipe",
        order.recipe,
        *seed,
        f"--by={order.by}",
    ]
