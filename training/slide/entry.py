"""What the manifest says of the slide model."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cervix.bundle.classes import ClassInfo
from cervix.bundle.manifest import Model, SlideRule, TensorSpec, Variant, cervix_sentence
from training.data.tissue.sources import SourceTiles
from training.shared.declared import declared_classes, declared_ids, model_entry
from training.shared.manifest_parts import counts_by_split, groups_by_split, malignant
from training.slide.drawn.tiles import DRAWN


@dataclass(frozen=True)
class SlideFigures:
    """What a run of the recipe hands to the manifest.

    Attributes
    ----------
    known : the tiles of the classes
    assigned : (n,) split of every tile
    accepted : float
        Share of test tiles within the novelty limit.
    flagged : float
        Share of the pictures that are no histology beyond it.
    """

    recipe: dict[str, Any]
    classes: list[str]
    known: SourceTiles
    assigned: NDArray[np.str_]
    network_weight: float
    texture_weight: float
    novelty_limit: float
    accepted: float
    flagged: float
    variants: list[Variant]
    slide_rule: SlideRule
    opset: int


def slide_inputs() -> list[TensorSpec]:
    """What the exported graph reads."""
    return [
        TensorSpec(
            name="tiles",
            dtype="uint8",
            shape=["N", 224, 224, 3],
            unit="8-bit RGB",
            meaning="H&E tiles, height × width × RGB",
        )
    ]


def slide_outputs(classes: list[str]) -> list[TensorSpec]:
    """What the exported graph answers, in this order."""
    count = len(classes)
    return [
        TensorSpec(
            name="probabilities", dtype="float32", shape=["N", count], unit="probability", activation="softmax",
            meaning="Calibrated class probabilities, in the order of the classes",
        ),
        TensorSpec(
            name="embedding", dtype="float32", shape=["N", 512], unit="activation",
            meaning="Global average of the last convolution block",
        ),
        TensorSpec(
            name="novelty", dtype="float32", shape=["N"], unit="Mahalanobis distance",
            meaning="Distance of the mean of block 4 to the nearest type of tissue; the doubt of the answer where larger",
        ),
        TensorSpec(
            name="cam", dtype="float32", shape=["N", count, 14, 14], unit="logit", activation="relu",
            meaning="Grad-CAM of each class on block5_conv3",
        ),
    ]  # fmt: skip


def learned_organs(known: SourceTiles, here: NDArray[np.bool_]) -> list[str]:
    """The organs of the tiles that are marked, each once, in the order of the sources.

    Parameters
    ----------
    here : (n,) of all tiles
    """
    found: list[str] = []
    for source in known.sources:
        of_source = here & (known.source == source.id)
        if of_source.any():
            found += source.organs or sorted(set(known.organ[of_source].tolist()))
    return list(dict.fromkeys(found))


def _seen(known: SourceTiles, taught: NDArray[np.bool_], item: ClassInfo) -> str:
    """Of which organs, and from how many laboratories, a class was learned."""
    here = taught & (known.tiles.labels == item.id)
    count = len(np.unique(known.laboratory[here]))
    organs = ", ".join(learned_organs(known, here))
    return f"{item.mid_sentence} of {organs} from {count} laborator{'y' if count == 1 else 'ies'}"


def _taught(figures: SlideFigures) -> NDArray[np.bool_]:
    """Which tiles of real tissue were learned from: ``(n,)``. What is drawn is of no organ and no laboratory."""
    return np.asarray((figures.assigned == "train") & (figures.known.source != DRAWN.id), np.bool_)


def trained_on(figures: SlideFigures) -> list[dict[str, Any]]:
    """One entry a source, as the manifest holds it."""
    known, entries = figures.known, []
    for source in known.sources:
        here = known.source == source.id
        taught = here & _taught(figures)
        entries.append(
            {
                "name": source.title,
                "organs": learned_organs(known, taught),
                "laboratory": source.laboratory if taught.any() else "",
                "tissue_types": sorted(set(known.tissue[taught].tolist())),
                "licence": source.licence,
                "citation": source.citation,
                "nature": "simulated" if source.id == DRAWN.id else "real",
                "note": f"About {source.spacing_um_px} µm/px, an estimate. {source.caution}",
                "grouped_by": source.grouped_by,
                "counts": counts_by_split(known.tiles.labels[here], figures.assigned[here]),
                "groups": groups_by_split(known.tiles.groups[here], figures.assigned[here]),
            }
        )
    return entries


def slide_entry(figures: SlideFigures) -> Model:
    """The manifest entry of the slide model."""
    recipe = figures.recipe
    (model_id,) = declared_ids(recipe)
    validation, test = figures.assigned == "validation", figures.assigned == "test"
    taught = _taught(figures)
    classes = declared_classes(recipe, figures.classes)
    of_carcinoma = taught & np.isin(figures.known.tiles.labels, malignant(classes))
    organs = learned_organs(figures.known, taught)
    said = {
        "hidden": recipe["head"]["hidden"],
        "classes": len(figures.classes),
        "opset": figures.opset,
        "validation": int(validation.sum()),
        "laboratories": len(np.unique(figures.known.laboratory[taught])),
        "organs": len(organs),
        "carcinoma_organs": ", ".join(learned_organs(figures.known, of_carcinoma)),
        "carcinomas": "; ".join(_seen(figures.known, taught, item) for item in classes if item.role == "malignant"),
        "tissue_types": ", ".join(sorted(set(figures.known.tissue[taught].tolist()))),
        "cervix": cervix_sentence(organs),
        "accepted_share": recipe["novelty"]["accepted_share"],
        "wrong_share": recipe["novelty"]["wrong_share"],
        "accepted": figures.accepted,
        "flagged": figures.flagged,
        "test": int(test.sum()),
    }
    computed = {
        "kind": "tile",
        "variants": figures.variants,
        "inputs": slide_inputs(),
        "outputs": slide_outputs(figures.classes),
        "tiles": recipe["tiles"],
        "calibration": {
            "method": "opinion-pool",
            "parameters": {"block 5": figures.network_weight, "block 4": figures.texture_weight},
        },
        "abstention": [{"limit": figures.novelty_limit}],
        "slide_rule": figures.slide_rule,
        "training_data": [*trained_on(figures), recipe["pretrained"]],
        "evaluation": {"precision": "int8"},
        "rehearsal": f"{model_id}/rehearsal.npz",
    }
    return model_entry(recipe, model_id, figures.classes, said, computed)
