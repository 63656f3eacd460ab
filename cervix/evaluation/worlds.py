"""The models of a bundle side by side: what each learned from, its main figure, and in which world that figure holds."""

import pandas as pd

from cervix.bundle import Bundle, Model
from cervix.bundle.manifest import UNEVALUATED, TrainingData
from cervix.evaluation.summary import Figure, main_figure

NETWORKS = {"VGG16": "CNN", "LSTM": "LSTM", "boosting": "Boosting", "LightGBM": "Boosting", "logistic": "Logistic regression"}
"""A word of a model's architecture -> what such a model is called in a comparison; the first that occurs counts."""
NO_FIGURE = "–"
TRAIN = "train"


def models_table(bundle: Bundle) -> pd.DataFrame:
    """One row a model: ``model, what it is, learned from, question, AUROC, n, world``, as text.

    A model that nobody measured stands there without a figure.
    """
    return pd.DataFrame([_row(bundle, model) for model in bundle.manifest.models])


def learned_from(model: Model) -> str:
    """What a model learned from, in a sentence: organs and whether the cervix is among them, or each source by name."""
    if model.organs:
        organs = sorted({organ.casefold() for organ in model.organs})
        real = [data for data in model.training_data if data.organs]
        groups = sum(data.groups.get(TRAIN, 0) for data in real)
        kind = "Real tumours" if model.kind == "molecular" else "Real tissue"
        cervix = "" if model.saw_cervix else "; no cervix"
        return f"{kind} of {', '.join(organs)}{cervix}; {groups:,} groups"
    return "; ".join(map(_of_source, model.training_data))


def network_of(model: Model) -> str:
    """Which network, or other kind of model, it is: the word that its architecture begins with, or ``Hybrid``."""
    if model.kind == "joint":
        return "Hybrid"
    places = {name: model.architecture.find(word) for word, name in reversed(NETWORKS.items()) if word in model.architecture}
    return min(places, key=places.__getitem__) if places else model.short


def _of_source(data: TrainingData) -> str:
    groups = f"; {data.groups[TRAIN]:,} groups" if data.groups.get(TRAIN) else ""
    return f"{data.name} ({data.nature}{groups})"


def _row(bundle: Bundle, model: Model) -> dict[str, str]:
    figure = _figure(bundle, model)
    return {
        "model": model.title,
        "what it is": network_of(model),
        "learned from": learned_from(model),
        "question": model.main_task.title,
        "AUROC": f"{figure.value} ({figure.interval})" if figure and figure.interval else NO_FIGURE,
        "n": figure.n if figure else NO_FIGURE,
        "world": figure.world if figure else UNEVALUATED,
    }


def _figure(bundle: Bundle, model: Model) -> Figure | None:
    return main_figure(bundle, model) if model.evaluation is not None else None
