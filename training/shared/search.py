"""A small search over optimiser, learning rate, dropout and batch size that keeps every trial."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
import optuna
import pandas as pd

from training.shared.stages import Log, Stages

STARTUP_TRIALS = 4
Chosen = TypeVar("Chosen")
Suggest = Callable[[optuna.Trial, Mapping[str, Any]], Chosen]


def search(
    try_out: Callable[[Chosen], dict[str, float]],
    suggest: Suggest[Chosen],
    recipe: Mapping[str, Any],
    depends_on: Mapping[str, Any],
    stages: Stages,
    log: Log,
) -> tuple[Chosen, pd.DataFrame]:
    """Tree-structured Parzen search (Bergstra et al. 2011; Optuna) for the lowest ``validation_loss``.

    The sampler is seeded and sees the same results in the same order. An interrupted run therefore proposes the same trials
    again and reads the finished ones back.

    Parameters
    ----------
    try_out : settings -> figures of one trial, ``validation_loss`` among them
    suggest : a trial and the ``[search]`` table of the recipe -> settings, a flat dataclass

    Returns
    -------
    The best settings, and one row a trial: number, settings, figures, best.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    ranges = recipe["search"]
    sampler = optuna.samplers.TPESampler(seed=recipe["seed"], n_startup_trials=STARTUP_TRIALS)
    study = optuna.create_study(direction="minimize", sampler=sampler)
    rows: list[dict[str, Any]] = []
    tried: list[Chosen] = []
    for number in range(1, ranges["trials"] + 1):
        trial = study.ask()
        settings = suggest(trial, ranges)
        figures = stages.value(
            f"trial-{number}",
            {**depends_on, "settings": vars(settings)},
            lambda settings=settings: try_out(settings),  # type: ignore[misc]
        )
        study.tell(trial, figures["validation_loss"] if np.isfinite(figures["validation_loss"]) else np.inf)
        log(f"trial {number}/{ranges['trials']}: {settings} -> validation loss {figures['validation_loss']:.4f}")
        tried.append(settings)
        rows.append({"trial": number, **vars(settings), **figures})
    table = pd.DataFrame(rows)
    best = int(table["validation_loss"].fillna(np.inf).to_numpy().argmin())
    table["chosen"] = [index == best for index in range(len(table))]
    return tried[best], table
