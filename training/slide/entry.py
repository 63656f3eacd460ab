"""What the manifest says of the slide model."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cervix.bundle.manifest import (
    Abstention,
    Calibration,
    DerivedTask,
    Evaluation,
    EvaluationTable,
    Model,
    PublishedFigure,
    SlideRule,
    TensorSpec,
    Threshold,
    TileInput,
    TrainingData,
    Variant,
)
from training.shared.manifest_parts import counts_by_split, declared_classes, groups_by_split
from training.slide.checks.baselines import BASELINES

PAPER = "Published VGG16, TCGA cervical tiles, SCC versus AC (its Table 3); data and code not available"
CANCER = DerivedTask(id="cancerous", title="Cancerous or benign", positive=["scc", "ac"], negative=["benign"])
SCC_VERSUS_AC = DerivedTask(id="scc-versus-ac", title="Squamous-cell or adenocarcinoma", positive=["scc"], negative=["ac"])
DERIVED_TASKS = [CANCER, SCC_VERSUS_AC]
# Both errors cost the same; nothing is fitted.
THRESHOLDS = {task.id: 0.5 for task in DERIVED_TASKS}
SLIDE_REHEARSAL = "slide/rehearsal.npz"
TABLES = {
    "reach": (
        "What was aimed for",
        "On test tiles, int8, set before training. Brackets are 95 % intervals over source images.",
    ),
    "novelty": (
        "What is flagged as novel",
        "A flagged tile is left out of the slide's answer. Intervals at the number of source images or pictures.",
    ),
    "robustness": (
        "The same tiles, changed",
        "One test tile per source image through the int8 variant. Blur, JPEG, scale and stain were varied in training too, "
        "within other limits; the tilt was not.",
    ),
    "cam-check": (
        "Is Grad-CAM about the model?",
        "Maps of the called class on rightly called cancerous test tiles. Random weights: block 5 and head drawn anew "
        "(Adebayo et al. 2018). Erasing: blur, 10 % to 60 % of the tile (Petsiuk et al. 2018).",
    ),
    "trials": (
        "Search",
        "Every trial. The lowest validation loss was chosen; test tiles were not looked at.",
    ),
    "runs": (
        "The same recipe, run again",
        "Equal but for the seed; the mean of their weights is a third candidate. Shipped is the lowest validation loss; the "
        "test columns chose nothing.",
    ),
    "tries": (
        "What else was tried for SCC or AC",
        "On the chosen network, fp32. Thresholds, weights and classifiers were fitted without test tiles. The shipped way was "
        "chosen for its validation accuracy among tries whose test figures were known by then.",
    ),
}


@dataclass(frozen=True)
class SlideFigures:
    """What a run of the recipe hands to the manifest.

    Attributes
    ----------
    labels, groups, assigned : (n,) class, source image and split of every tile
    accepted : float
        Share of test tiles within the novelty limit.
    flagged : float
        Share of the pictures that are no histology beyond it.
    """

    recipe: dict[str, Any]
    classes: list[str]
    labels: NDArray[np.str_]
    groups: NDArray[np.str_]
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
            meaning="Distance of the mean of block 4 to the nearest training class centre",
        ),
        TensorSpec(
            name="cam", dtype="float32", shape=["N", count, 14, 14], unit="logit", activation="relu",
            meaning="Grad-CAM of each class on block5_conv3",
        ),
    ]  # fmt: skip


def slide_entry(figures: SlideFigures) -> Model:
    """The manifest entry of the slide model."""
    recipe = figures.recipe
    equal_cost = "0.5 of a calibrated probability: both errors cost the same; nothing was fitted"
    validation, test = figures.assigned == "validation", figures.assigned == "test"
    return Model(
        id="slide",
        kind="tile",
        title="Slide model: carcinoma type on H&E tiles",
        short="Slide",
        task="Classify a 224 px H&E tile as benign, squamous-cell carcinoma or adenocarcinoma",
        outcome="Morphological class of the tile's source image, as its donors labelled it",
        architecture=(
            "VGG16 (ImageNet; blocks 1–4 frozen, block 5 fine-tuned) → global average → "
            f"dense {recipe['head']['hidden']} → {len(figures.classes)}, joined with a linear path from the mean of block 4; "
            f"ONNX opset {figures.opset}"
        ),
        recipe=recipe["name"],
        seed=recipe["seed"],
        variants=figures.variants,
        inputs=slide_inputs(),
        outputs=slide_outputs(figures.classes),
        classes=declared_classes(recipe, figures.classes),
        derived_tasks=DERIVED_TASKS,
        tiles=TileInput(
            size_px=recipe["tiles"]["size_px"],
            spacing_um_px=recipe["tiles"]["spacing_um_px"],
            spacing_source=recipe["tiles"]["spacing_source"],
            steps_in_graph=[
                "uint8 RGB to float32",
                "RGB to BGR",
                "minus the ImageNet channel means (103.939, 116.779, 123.68)",
            ],
        ),
        calibration=Calibration(
            method="opinion-pool",
            parameters={"block 5": figures.network_weight, "block 4": figures.texture_weight},
            fitted_on=f"validation split, {int(validation.sum())} tiles",
        ),
        thresholds=[Threshold(task=task, value=value, chosen_by=equal_cost) for task, value in THRESHOLDS.items()],
        abstention=[
            Abstention(
                output="novelty",
                limit=figures.novelty_limit,
                chosen_by=(
                    f"upper 95 % bootstrap limit, over {len(np.unique(figures.groups[validation]))} validation source images, "
                    f"of the distance that {recipe['novelty']['accepted_share']:.0%} of validation tiles stay within (int8)"
                ),
            )
        ],
        slide_rule=figures.slide_rule,
        training_data=[
            TrainingData(
                name="LC25000, lung part",
                licence="CC BY 4.0",
                citation="Borkowski et al. 2019, LC25000, arXiv:1912.12142; source groups by Batch et al.",
                nature="real",
                note="Lung tissue, not cervix: a stand-in for benign, squamous-cell carcinoma and adenocarcinoma.",
                grouped_by="source image",
                counts=counts_by_split(figures.labels, figures.assigned),
                groups=groups_by_split(figures.groups, figures.assigned),
            ),
            TrainingData(
                name="ImageNet weights of VGG16",
                licence="CC BY 4.0",
                citation="Simonyan & Zisserman 2015, arXiv:1409.1556; Russakovsky et al. 2015, ImageNet",
                nature="real",
                note="Weights only, as Keras distributes them; blocks 1 to 4 kept as they are, block 5 fine-tuned.",
                grouped_by="not applicable",
                counts={},
                groups={},
            ),
        ],
        evaluation=Evaluation(
            predictions="slide/predictions.parquet",
            precision="int8",
            split="test split, source images never seen in training",
            baselines=list(BASELINES),
            published=[
                PublishedFigure(metric="accuracy", value=0.9826, task="scc-versus-ac", source=PAPER),
                PublishedFigure(metric="precision", value=0.968, task="scc-versus-ac", source=PAPER),
                PublishedFigure(metric="recall", value=0.99, task="scc-versus-ac", source=PAPER),
                PublishedFigure(metric="f1", value=0.979, task="scc-versus-ac", source=PAPER),
            ],
            notes=[
                f"The novelty limit accepts {figures.accepted:.1%} of the {int(test.sum())} test tiles (int8) and flags "
                f"{figures.flagged:.1%} of pictures that are no histology.",
                "Tiles of one source image are rotated or flipped copies; intervals count source images, not tiles.",
            ],
            tables=[
                EvaluationTable(id=name, title=title, file=f"slide/{name}.csv", note=note)
                for name, (title, note) in TABLES.items()
            ],
        ),
        golden="slide/golden.npz",
        rehearsal=SLIDE_REHEARSAL,
        intended_use=[
            "Demonstrating, teaching and criticising tile-based slide scoring.",
            "Trying the whole path from slide to explained answer before a cervical model is trained.",
        ],
        limits=[
            "Trained on lung tissue, a stand-in: no cervical tile was seen. Not for any clinical question.",
            "Adenosquamous, neuroendocrine and metastatic tumours are outside its three classes.",
            "HPV association cannot be told from morphology alone (WHO 2020).",
            "LC25000 comes from one institution; stains and scanners of other laboratories were not seen.",
            "The physical scale of the training tiles is an estimate.",
            "Split by source image: LC25000 names no patient, so neighbouring fields of one patient may stand on two sides.",
        ],
        known_failures=[
            "Grad-CAM shows block 5's part of the answer; the linear path from block 4 has no map.",
            "Colour alone tells much of this data apart; see the colour baseline beside every figure.",
            "Benign training tiles are alveolar lung: benign squamous epithelium may be called carcinoma or novel.",
        ],
    )
