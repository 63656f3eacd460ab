"""Making the next bundle from labels, as the app does it: the trainer runs as a program of its own, in its own environment.

::

    settings = get_settings()
    environment = find_training_environment(settings.training_python)
    desk = RetrainingDesk(settings.retraining_dir, settings.bundles_dir)
    order = order_of(bundle, ["slide"], "retrain-small", seed=None, by="Dr Reed")
    desk.start(order, environment.python, settings.label_store_url)
    desk.runs()

Nothing here imports the trainer or TensorFlow.
"""

from cervix.retraining.command import RECIPES, Recipe, RetrainingOrder, order_of, shown_command
from cervix.retraining.desk import RetrainingDesk
from cervix.retraining.environment import TrainingEnvironment, find_training_environment
from cervix.retraining.readiness import RETRAINABLE, LabelCounts, count_labels, obstacle
from cervix.retraining.runs import Run

__all__ = [
    "RECIPES",
    "RETRAINABLE",
    "LabelCounts",
    "Recipe",
    "RetrainingDesk",
    "RetrainingOrder",
    "Run",
    "TrainingEnvironment",
    "count_labels",
    "find_training_environment",
    "obstacle",
    "order_of",
    "shown_command",
]
