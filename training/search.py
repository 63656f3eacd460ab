"""A small search over optimiser, learning rate, dropout and batch size, with every trial kept."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import optuna
import pandas as pd

from training.fit import Settings
from training.stages import Log, Stages

STARTUP_TRIALS = 4


def search(
    try_out: Callable[[Settings], dict[str, float]],
    recipe: Mapping[str, Any],
    depends_on: Mapping[str, Any],
    stages: Stages,
    log: Log,
) -> tuple[Settings, pd.DataFrame]:
    """Tree-structured Parzen search (Bergstra et al. 2011; Optuna) for the lowest ``validation_loss``.

    The sampler is seeded and sees the same results in the same order, so a run that was interrupted asks for the
    same trials again and reads the finished ones back.

    Parameters
    ----------
    try_out : settings -> figures of one trial, ``validation_loss`` among them

    Returns
    -------
    The best settings, and one row a trial: number, settings, figures, best.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    ranges = recipe["search"]
    sampler = optuna.samplers.TPESampler(seed=recipe["seed"], n_startup_trials=STARTUP_TRIALS)
    study = optuna.create_study(direction="minimize", sampler=sampler)
    rows = []
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
        rows.append({"trial": number, **vars(settings), **figures})
    table = pd.DataFrame(rows)
    best = int(table["validation_loss"].fillna(np.inf).to_numpy().argmin())
    table["chosen"] = [index == best for index in range(len(table))]
    return Settings(**{name: rows[best][name] for name in Settings.__dataclass_fields__}), table


def suggest(trial: optuna.Trial, ranges: Mapping[str, Any]) -> Settings:
    """Settings of one trial; the learning rate's range is that of its optimiser."""
    optimizer = trial.suggest_categorical("optimizer", ["adam", "sgd"])
    low, high = ranges[f"{optimizer}_learning_rate"]
    return Settings(
        optimizer=optimizer,
        learning_rate=trial.suggest_float(f"{optimizer}_learning_rate", low, high, log=True),
        dropout=trial.suggest_float("dropout", *ranges["dropout"]),
        batch_size=trial.suggest_categorical("batch_size", ranges["batch_sizes"]),
    )
