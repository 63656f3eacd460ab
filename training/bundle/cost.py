"""The cost of a training run: measured time and assumed power."""

import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

from cervix.bundle.manifest import Model, TrainingCost
from cervix.files import replacing
from training.shared.stages import READ_BACK, Log

COST_NAME = "cost.json"
# A server processor is rated at about 4 to 5 W a core; as much again for memory, fans and power supply.
WATTS_PER_CORE = 10.0
ASSUMPTION = f"{WATTS_PER_CORE:g} W for each core that the run may use, memory and power supply included; not metered"


def costed(train: Callable[[Log], list[Model]], out_dir: Path, log: Log) -> list[Model]:
    """Run a training function, and write its cost beside each model that it returns.

    Stages read back from an earlier, interrupted run are listed as left out, because their time was not recorded.
    """
    read_back: list[str] = []

    def listening(message: str) -> None:
        if message.endswith(READ_BACK):
            read_back.append(message.removesuffix(READ_BACK).rstrip(": "))
        log(message)

    started = time.perf_counter()
    models = train(listening)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    covers = f"the whole run that made {' and '.join(model.id for model in models)}, evaluation included"
    cost = TrainingCost(
        wall_seconds=time.perf_counter() - started,
        hardware=f"{cores} cores, {platform.machine()}, {platform.system()}",
        assumed_watts=cores * WATTS_PER_CORE,
        assumption=ASSUMPTION,
        covers=covers + (f"; left out, as an earlier run had made it: {', '.join(read_back)}" if read_back else ""),
    )
    for model in models:
        with replacing(out_dir / model.id / COST_NAME) as temporary:
            temporary.write_text(cost.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return models


def with_cost(model: Model, parts_dir: Path) -> Model:
    """The entry with the cost that is written beside its files; unchanged if there is none."""
    path = parts_dir / model.id / COST_NAME
    if not path.is_file():
        return model
    return model.model_copy(update={"training_cost": TrainingCost.model_validate_json(path.read_bytes())})
