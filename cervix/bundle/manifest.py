"""The bundle manifest: a pydantic model whose JSON Schema is published beside every bundle.

Everything the app says about a model comes from here. Preprocessing itself lives inside the ONNX graph; what
the manifest says of it is description, not a second implementation.
"""

import json
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from cervix import RESEARCH_NOTICE
from cervix.bundle.card_facts import CardFacts
from cervix.bundle.classes import ClassInfo, PlainName, check_distinct
from cervix.bundle.head_contract import check_encoder, check_tensors
from cervix.bundle.markers import MarkerEncoding
from cervix.errors import BundleError, EvaluationError

MANIFEST_NAME = "manifest.json"
SCHEMA_NAME = "manifest.schema.json"
CARD_NAME = "MODEL_CARD.md"

SCHEMA_VERSION: Literal[2] = 2

ModelId = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
ModelKind = Literal["tile", "slide-head", "sequence", "table", "molecular", "joint"]
"""What a model reads, and so who asks it. ``tile``: pixels of one tile; ``slide-head``: embeddings of a slide's tiles;
``sequence``: a woman's visits; ``table``: one row a woman; ``molecular``: molecular measurements; ``joint``: visits and an
embedding. Readers choose by kind, never by id."""
TILE_OUTPUTS = ("probabilities", "embedding", "novelty", "cam")
"""What every tile model answers: the map, the exports, the label desk and Grad-CAM rest on them."""
MOLECULAR_GATES = ("novelty", "reference_known", "key_known")
MOLECULAR_OUTPUTS = ("probabilities", "logit", "contributions", *MOLECULAR_GATES)
"""What every molecular model answers; beyond the limit of each gate it is not heard."""
Precision = Literal["fp32", "fp16", "int8"]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
RelativePath = Annotated[str, Field(pattern=r"^[\w-]+(\.[\w-]+)*(/[\w-]+(\.[\w-]+)*)*$")]
Title = Annotated[str, Field(min_length=1, max_length=200)]
"""What stands in headings, lists and on every page."""
Probability = Annotated[float, Field(ge=0.0, le=1.0)]
UNEVALUATED = "Unevaluated: no held-out figures of this model exist."
"""Stands beside every answer of a model that nobody measured, and wherever its figures would."""
JOULES_PER_KWH = 3.6e6
# Held-out tiles of bundle 0.6.0, enlarged (``python -m benchmarks coarse``; the table is in docs/clinical.md): up to 1.5 times,
# tissue of the model's scale keeps its answers, but for one source that it reads badly as it is; of all sources that are
# coarser than that, 1.9 times and more, accepted benign tiles are called carcinoma.
ENLARGED_AT_MOST = 1.5


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class BundleFile(_Strict):
    """One file of the bundle."""

    path: RelativePath
    bytes: int = Field(ge=0)
    sha256: Sha256


class TensorSpec(_Strict):
    """A named input or output of an ONNX graph. Symbolic dimensions are strings, e.g. ``"N"``."""

    name: str
    dtype: Literal["uint8", "int32", "float32"]
    shape: list[int | str]
    unit: str
    meaning: str
    activation: Literal["softmax", "sigmoid", "relu", "none"] = "none"


class VariantDifference(_Strict):
    """How far a variant is from the fp32 reference on data neither was fitted on."""

    computed_on: str
    n: int = Field(gt=0)
    largest_probability: float = Field(ge=0.0)
    mean_probability: float = Field(ge=0.0)
    agreement: Probability
    """Share of cases whose most probable class is that of fp32."""
    auroc_difference: float = Field(ge=-1.0, le=1.0)
    """AUROC of the variant minus that of fp32, of the binary task where it is lowest."""


class Variant(_Strict):
    """One exported precision of a model."""

    precision: Precision
    file: RelativePath
    runs_on: Literal["cpu", "cuda"]
    """The device this variant was made for; any device can replay its golden vectors."""
    tolerance: dict[str, float]
    """Largest absolute difference allowed per output when the golden vectors are replayed."""
    difference: VariantDifference | None = None
    """None for the reference itself."""


Triple = Annotated[list[float], Field(min_length=3, max_length=3)]
"""A figure and the limits of its 95 % interval."""


class CalibrationTest(_Strict):
    """Whether probabilities may be read as frequencies, on cases that fitted nothing. See ``cervix.evaluation.calibration``."""

    task: str
    n: int = Field(gt=0)
    events: int = Field(ge=0)
    observed_expected: Triple
    ece: Triple
    p_value: Probability
    rule: str
    passed: bool


class Calibration(_Strict):
    """How raw scores became probabilities. Applied inside the graph."""

    method: Literal["temperature", "opinion-pool", "platt", "none"]
    parameters: dict[str, float]
    fitted_on: str
    tests: list[CalibrationTest] = []

    def passed(self, task: str) -> bool:
        """Whether the task's probabilities were tested and held; without, no guideline step may rest on them."""
        return any(test.task == task and test.passed for test in self.tests)


class Threshold(_Strict):
    """A decision limit on a score, and how it was chosen."""

    task: str
    value: float
    chosen_by: str


class DerivedTask(_Strict):
    """A binary question asked of the class probabilities.

    Its score is the probability mass of ``positive`` relative to ``positive + negative``.
    """

    id: str
    title: Title
    positive: list[str] = Field(min_length=1)
    negative: list[str] = Field(min_length=1)


class Abstention(_Strict):
    """When the model must not be heard: the output that says so, and its limit."""

    output: str
    limit: float
    chosen_by: str


class TileInput(_Strict):
    """What one tile is, physically."""

    size_px: int = Field(gt=0)
    spacing_um_px: float = Field(gt=0.0)
    spacing_source: str
    steps_in_graph: list[str]
    enlarged_at_most: float = Field(default=ENLARGED_AT_MOST, ge=1.0)
    """How many times a coarser picture may be enlarged to the model's scale. A coarser one still is not scored."""

    @property
    def coarsest_um_px(self) -> float:
        """Micrometres per pixel of the coarsest picture that is scored."""
        return self.spacing_um_px * self.enlarged_at_most


class SlideRule(_Strict):
    """How tile scores become one answer for a slide. See ``cervix.slides.decision``."""

    minimum_tiles: int = Field(gt=0)
    false_positive_share: Probability
    """What validation on benign tissue cannot rule out: an upper limit of the share of tiles called cancerous."""
    novel_share_limit: Probability
    """The most of the tiles that may be not recognised, or look like tissue that is no part of the question."""
    share_of: Literal["accepted", "read"] = "accepted"
    """Which tiles the share of cancerous ones is taken of: those recognised, or all that were read, so that a few recognised
    ones do not speak for a slide."""
    design_effect: float = Field(default=1.0, ge=1.0)
    """How many tiles of a slide tell as much as one independent tile (Kish 1965, Survey Sampling, 8.2)."""
    missed_share_limit: Probability = 1.0
    """No cancerous tile is said to be found only where the upper 95 % limit of their share is at most this."""
    chosen_by: str


class FeatureEncoding(_Strict):
    """How one input of a patient model is made from a column of a table. What is not known is NaN, always."""

    name: str
    label: Title
    """For charts."""
    column: str
    kind: Literal["number", "yes-no", "code"]
    """``number``: as it stands in the table; ``yes-no``: 0 or 1 in the table; ``code``: the grade of the code."""
    grades: dict[str, float | None] = {}
    """Every code of the column -> its grade; None where the code measures nothing, as an unsatisfactory smear."""
    limits: tuple[float, float] | None = None
    """Lowest and highest number, inclusive, that counts as one; None for codes."""
    trained_on: tuple[float, float] | None = None
    """Lowest and highest number that the model was trained on; the app feeds the nearest and says so. None: not recorded."""
    longest_gap_years: float | None = Field(default=None, ge=0.0)
    """Longest time from one measurement to the next in training; treated likewise."""

    @model_validator(mode="after")
    def _is_consistent(self) -> "FeatureEncoding":
        if (self.kind == "code") != bool(self.grades):
            raise ValueError(f"{self.name}: a code has grades, a number has none")
        if (self.kind == "code") != (self.limits is None):
            raise ValueError(f"{self.name}: a number has limits, a code has none")
        if self.trained_on is not None and self.trained_on[0] > self.trained_on[1]:
            raise ValueError(f"{self.name}: the lowest number in training is above the highest")
        return self


class GoldenTable(_Strict):
    """Golden cases that begin as text: a table as people bring it, and what must come of it."""

    file: RelativePath
    """CSV, in UTF-8. The patients are made up; every code that the model is fed is among their results."""
    vectors: RelativePath
    """npz as ``Model.golden``. The arrays that reading and encoding the table must give exactly, and the outputs for them."""


class FeatureInput(_Strict):
    """What a patient model is fed: its ordered inputs, how each is made, and cases to hold a reader against."""

    encoding: list[FeatureEncoding] = Field(min_length=1)
    visits: int = Field(gt=0)
    """The most visits the model reads, the newest; of one, the table has one row a patient."""
    gaps: Literal["years-since-measured", "none"]
    """What the model is told of time. ``years-since-measured``: beside each value, the years (of 365.25 days) from the last
    step before it at which the same input was measured, NaN where there was none."""
    steps: Literal["rows", "episodes"] = "rows"
    """What the model reads as one: each row, or all rows up to ``episode_days`` after the first of them."""
    episode_days: int | None = Field(default=None, ge=0)
    """None where each row is a step."""
    golden_table: GoldenTable
    steps_in_graph: list[str]

    @property
    def names(self) -> list[str]:
        """Of the inputs, in order."""
        return [feature.name for feature in self.encoding]

    @model_validator(mode="after")
    def _is_consistent(self) -> "FeatureInput":
        if len(set(self.names)) != len(self.names):
            raise ValueError("an input is named twice")
        if self.visits == 1 and any(feature.name != feature.column for feature in self.encoding):
            raise ValueError("with one row a patient, an input has the name of its column")
        if (self.visits == 1) != (self.gaps == "none"):
            raise ValueError("a model of many visits is told the time between them, a model of one is not")
        if (self.steps == "episodes") != (self.episode_days is not None):
            raise ValueError("episodes have a length in days, rows have none")
        if self.visits == 1 and self.steps != "rows":
            raise ValueError("with one row a patient, a step is a row")
        return self


class MarkerInput(_Strict):
    """What a molecular model is fed: its ordered markers, and cases to hold a reader against."""

    encoding: list[MarkerEncoding] = Field(min_length=1)
    golden_table: GoldenTable
    sample: RelativePath | None = None
    """CSV of held-out tumours under drawn numbers, for a try."""
    steps_in_graph: list[str]

    @property
    def names(self) -> list[str]:
        """Of the markers, in order."""
        return [marker.name for marker in self.encoding]

    @property
    def files(self) -> list[str]:
        """Those that belong to the markers."""
        return [self.golden_table.file, self.golden_table.vectors, *([self.sample] if self.sample else [])]

    @model_validator(mode="after")
    def _is_consistent(self) -> "MarkerInput":
        names = [name.casefold() for marker in self.encoding for name in marker.names]
        if len(set(names)) != len(names):
            raise ValueError("two markers have one name")
        if not any(marker.key for marker in self.encoding):
            raise ValueError("no marker is a key marker")
        return self


class TrainingData(_Strict):
    """A data source with its licence and how it was split."""

    name: str
    organs: list[Title] = []
    """Whose tissue the model learned from, in its training split; none where the source is not of tissue or does not say."""
    laboratory: str = ""
    """Whose stain and scanner they show; empty likewise."""
    tissue_types: list[Title] = []
    licence: str
    citation: str
    nature: Literal["real", "simulated"]
    note: str
    grouped_by: str
    counts: dict[str, dict[str, int]]
    """Split -> class -> number of cases."""
    groups: dict[str, int]
    """Split -> number of independent groups."""

    @property
    def described(self) -> str:
        """What its cases are, as sentences: organs and laboratory where it has any, and the note."""
        return f"Organs: {', '.join(self.organs)}. Laboratory: {self.laboratory}. {self.note}" if self.organs else self.note


class TrainingCost(_Strict):
    """What a training run took on the machine that ran it. The time was measured, the power was not."""

    wall_seconds: float = Field(gt=0.0)
    hardware: str
    assumed_watts: float = Field(gt=0.0)
    """Mean power assumed for what the run used of the machine; there was no meter."""
    assumption: str
    covers: str
    """What the time is of, and what it leaves out."""

    @property
    def energy_kwh(self) -> float:
        """Seconds times assumed watts."""
        return self.wall_seconds * self.assumed_watts / JOULES_PER_KWH


class PublishedFigure(_Strict):
    """What a paper or notebook reports, to stand beside our own figure."""

    metric: Literal["accuracy", "precision", "recall", "specificity", "f1", "auroc"]
    value: Probability
    task: str
    source: str


class Baseline(_Strict):
    """A deliberately simple rival whose held-out scores are columns of the predictions file."""

    id: str
    title: Title


class EvaluationTable(_Strict):
    """A table that training made and that cannot be computed from the predictions: search trials, robustness."""

    id: Annotated[str, Field(pattern=r"^[a-z-]+$")]
    title: Title
    file: RelativePath
    """CSV with a header in words."""
    note: str


class Acquisition(_Strict):
    """Which cases the label queue asks for first, and why."""

    strategy: Annotated[str, Field(pattern=r"^[a-z-]+$")]
    """One of ``STRATEGIES`` in ``cervix/labels/desk/acquisition.py``."""
    chosen_by: str


class Subgroup(_Strict):
    """A way to divide the held-out cases, by a column of the predictions."""

    column: Annotated[str, Field(pattern=r"^by_[a-z_]+$")]
    title: Title
    values: list[str] = Field(min_length=1)
    """In the order to show them."""


class Evaluation(_Strict):
    """Held-out predictions, from which every figure the app shows is computed."""

    predictions: RelativePath
    """Parquet: ``case, group, label, p_<class>…`` and, per baseline, ``<baseline>__p_<class>…``, or ``<baseline>__<task>…``
    for rivals fitted on a task itself; ``by_<name>``, the subgroup of each case."""
    precision: Precision
    """The variant that made the predictions."""
    split: str
    baselines: list[Baseline]
    published: list[PublishedFigure]
    notes: list[str]
    tables: list[EvaluationTable] = []
    subgroups: list[Subgroup] = []
    published_risks: RelativePath | None = None
    """CSV: published risks of real women beside what the model says of the same histories (``cervix.bundle.published_risks``);
    None where nobody compared them."""


class Lineage(_Strict):
    """Which model a retrained one comes from, and which labels made it another."""

    parent: str
    """Name and version of the bundle."""
    parent_sha256: Sha256
    seed: int
    labels: dict[str, int]
    """Class -> number of cases whose label was learned from."""
    left_out: dict[str, int]
    """Reason -> number of labelled cases that were not."""
    events: RelativePath
    """CSV of the keys of the label events used, and the label each gave. No reader is named."""
    events_sha256: Sha256
    new_cases: RelativePath
    """Parquet: ``case, group, label, p_<class>…`` of the labelled cases, each scored by a model that did not learn from its
    fold; ``active__p_<class>…``, what the parent makes of it."""
    folds_by: str
    """What the folds kept whole."""


class Model(_Strict):
    """One model of the bundle, whole."""

    id: ModelId
    kind: ModelKind
    title: Title
    short: Annotated[PlainName, Field(max_length=40)]
    """What stands on buttons that choose between models of a kind."""
    task: str
    outcome: str
    architecture: str
    recipe: str
    seed: int
    variants: list[Variant] = Field(min_length=1)
    inputs: list[TensorSpec] = Field(min_length=1)
    outputs: list[TensorSpec] = Field(min_length=1)
    classes: list[ClassInfo] = Field(min_length=2)
    """In the order of ``probabilities``."""
    derived_tasks: list[DerivedTask] = Field(min_length=1)
    tiles: TileInput | None = None
    features: FeatureInput | None = None
    markers: MarkerInput | None = None
    calibration: Calibration
    thresholds: list[Threshold] = Field(min_length=1)
    abstention: list[Abstention]
    slide_rule: SlideRule | None = None
    reads: ModelId | None = None
    """Of a slide head alone: the tile model of the bundle whose embeddings it reads (``cervix.bundle.head_contract``)."""
    training_data: list[TrainingData] = Field(min_length=1)
    evaluation: Evaluation | None = None
    """None for a model that nobody measured on held-out cases: see ``is_evaluated``."""
    golden: RelativePath
    """npz: ``input:<name>`` once, ``<precision>:<output>`` for every variant."""
    background: RelativePath | None = None
    """npz by input name: simulated training cases that an attribution may be held against."""
    rehearsal: RelativePath | None = None
    """npz: what retraining needs of the data the model was made from, so that it needs neither tiles nor cohort."""
    acquisition: Acquisition | None = None
    lineage: Lineage | None = None
    """None for a model that no label of an installation has touched."""
    training_cost: TrainingCost | None = None
    """None where no run was timed."""
    intended_use: list[str] = Field(min_length=1)
    limits: list[str] = Field(min_length=1)
    """The first is the most important: that of the slide model stands on every page."""
    known_failures: list[str]

    @model_validator(mode="after")
    def _is_consistent(self) -> "Model":
        tasks = {task.id for task in self.derived_tasks}
        for threshold in self.thresholds:
            if threshold.task not in tasks:
                raise ValueError(f"threshold for unknown task {threshold.task!r}, known are {sorted(tasks)}")
        outputs = {spec.name for spec in self.outputs}
        named = {name for variant in self.variants for name in variant.tolerance}
        named |= {limit.output for limit in self.abstention}
        if unknown := named - outputs:
            raise ValueError(f"{sorted(unknown)} are not outputs of the graph; outputs are {sorted(outputs)}")
        if missing := {name for name in outputs for variant in self.variants if name not in variant.tolerance}:
            raise ValueError(f"no golden tolerance for outputs {sorted(missing)}")
        if unknown := {test.task for test in self.calibration.tests} - tasks:
            raise ValueError(f"calibration tests of unknown tasks {sorted(unknown)}")
        labels = {label for task in self.derived_tasks for label in task.positive + task.negative}
        if unknown := labels - set(self.class_ids):
            raise ValueError(f"derived tasks name unknown classes {sorted(unknown)}")
        if missing := tasks - {threshold.task for threshold in self.thresholds}:
            raise ValueError(f"no threshold for {sorted(missing)}")
        check_distinct(self.classes)
        self._answers_each_class()
        self._is_of_its_kind()
        self._says_whether_measured()
        return self

    def _says_whether_measured(self) -> None:
        """An unevaluated model says so first, and claims nothing that rests on held-out cases."""
        if self.evaluation is not None:
            return
        if not self.limits[0].startswith(UNEVALUATED):
            raise ValueError(f"a model without held-out cases begins its first limit with {UNEVALUATED!r}")
        if self.calibration.tests:
            raise ValueError("calibration tests need held-out cases, and this model has none")

    def _answers_each_class(self) -> None:
        for spec in self.outputs:
            if spec.name in ("probabilities", "cam") and spec.shape[1:2] != [len(self.classes)]:
                raise ValueError(f"output {spec.name} has shape {spec.shape} for {len(self.classes)} classes")

    def _is_of_its_kind(self) -> None:
        """Refuse a model that lacks what readers of its kind rely on."""
        reads_features = self.kind in ("sequence", "table", "joint")
        if (self.tiles is not None, self.features is not None) != (self.kind == "tile", reads_features):
            raise ValueError(f"a model reads either tiles or patient features, as its kind says, which is {self.kind}")
        if (self.reads is not None) != (self.kind == "slide-head"):
            raise ValueError(f"a slide head names the tile model that it reads, and no other does; this is of kind {self.kind}")
        if self.kind == "slide-head":
            check_tensors(self.inputs, self.outputs, len(self.classes))
            if self._cancer_task() is None:
                raise ValueError("a slide head is asked for its malignant classes against all others")
        if (self.markers is not None) != (self.kind == "molecular"):
            raise ValueError(f"a molecular model, and no other, declares markers; its kind is {self.kind}")
        if self.kind == "molecular":
            self._is_molecular()
        if self.kind != "tile":
            return
        if missing := set(TILE_OUTPUTS) - {spec.name for spec in self.outputs}:
            raise ValueError(f"a tile model answers {', '.join(TILE_OUTPUTS)}; missing are {sorted(missing)}")
        if self.slide_rule is None:
            raise ValueError("a tile model says how its tiles become one answer for a slide")
        if not any(item.output == "novelty" for item in self.abstention):
            raise ValueError("a tile model says beyond which novelty it is not heard")
        if self._cancer_task() is None:
            raise ValueError("a tile model is asked for its malignant classes against all others")

    def _is_molecular(self) -> None:
        """Refuse a molecular model that scoring cannot ask, or whose gates have no limit."""
        width = len(self.markers.encoding) if self.markers else 0
        if [(spec.name, spec.shape[1:]) for spec in self.inputs] != [("rpm", [width])]:
            raise ValueError(f"a molecular model reads rpm (N, {width}), a column for each of its markers")
        if missing := set(MOLECULAR_OUTPUTS) - {spec.name for spec in self.outputs}:
            raise ValueError(f"a molecular model answers {', '.join(MOLECULAR_OUTPUTS)}; missing are {sorted(missing)}")
        if missing := set(MOLECULAR_GATES) - {item.output for item in self.abstention}:
            raise ValueError(f"a molecular model says beyond which limits it is not heard; missing are {sorted(missing)}")

    def _cancer_task(self) -> DerivedTask | None:
        malignant = {item.id for item in self.classes if item.role == "malignant"}
        others = set(self.class_ids) - malignant
        return next(
            (task for task in self.derived_tasks if set(task.positive) == malignant and set(task.negative) == others), None
        )

    @property
    def is_evaluated(self) -> bool:
        """Whether held-out figures of it exist."""
        return self.evaluation is not None

    @property
    def measured(self) -> Evaluation:
        """Its held-out cases; ``EvaluationError``, which says ``UNEVALUATED``, where there are none."""
        if self.evaluation is None:
            raise EvaluationError(
                f"{self.title}. {UNEVALUATED.rstrip('.')}",
                expected="a bundle made with labelled test cases",
                found="none",
                action="Make the bundle again with test cases, or bring labelled cases of your own.",
            )
        return self.evaluation

    @property
    def tables(self) -> list[EvaluationTable]:
        """The tables that training put beside the predictions; none of an unevaluated model."""
        return self.evaluation.tables if self.evaluation else []

    @property
    def notice(self) -> str:
        """What stands beside its answers and in their exports: the research notice, and whether it is unevaluated."""
        return RESEARCH_NOTICE if self.is_evaluated else f"{RESEARCH_NOTICE} {UNEVALUATED}"

    @property
    def organs(self) -> list[str]:
        """The organs whose tissue it learned from, each once; none where its sources do not say."""
        return list(dict.fromkeys(organ for data in self.training_data for organ in data.organs))

    @property
    def tissue_types(self) -> list[str]:
        """The types of tissue it learned from, likewise."""
        return list(dict.fromkeys(kind for data in self.training_data for kind in data.tissue_types))

    @property
    def laboratories(self) -> list[str]:
        """The laboratories whose tissue it learned from, likewise."""
        return list(dict.fromkeys(data.laboratory for data in self.training_data if data.laboratory))

    @property
    def saw_cervix(self) -> bool:
        """Whether the cervix is among them."""
        return names_cervix(self.organs)

    @property
    def organs_seen(self) -> str:
        """Which organs it learned from, and whether the cervix is among them; empty where its sources do not say."""
        return f"Organs seen in training: {', '.join(self.organs)}. {cervix_sentence(self.organs)}" if self.organs else ""

    @property
    def class_ids(self) -> list[str]:
        """The ids of the classes, in the order of ``probabilities``."""
        return [item.id for item in self.classes]

    @property
    def class_titles(self) -> dict[str, str]:
        """Class -> its words, in the order of ``probabilities``."""
        return {item.id: item.title for item in self.classes}

    def class_named(self, label: str) -> ClassInfo:
        """The class of that id; ``KeyError`` where the model has none."""
        for item in self.classes:
            if item.id == label:
                return item
        raise KeyError(label)

    @property
    def cancer_task(self) -> DerivedTask:
        """Whether it is cancer: the malignant classes against all others. ``BundleError`` where that is not asked."""
        task = self._cancer_task()
        if task is None:
            raise BundleError(f"Model {self.id} is not asked for cancer", expected="malignant classes against all others")
        return task

    @property
    def files(self) -> list[str]:
        """Every file of the bundle that this model uses."""
        return [
            self.golden,
            *([self.features.golden_table.file, self.features.golden_table.vectors] if self.features else []),
            *(self.markers.files if self.markers else []),
            *([self.background] if self.background else []),
            *([self.rehearsal] if self.rehearsal else []),
            *([self.lineage.events, self.lineage.new_cases] if self.lineage else []),
            *([self.evaluation.predictions] if self.evaluation else []),
            *(table.file for table in self.tables),
            *([self.evaluation.published_risks] if self.evaluation and self.evaluation.published_risks else []),
            *(variant.file for variant in self.variants),
        ]

    @property
    def main_task(self) -> DerivedTask:
        """The question that a publication answers too, or the first."""
        published = [figure.task for figure in self.evaluation.published] if self.evaluation else []
        return next((task for task in self.derived_tasks if task.id in published), self.derived_tasks[0])

    def task_named(self, task: str) -> DerivedTask:
        """The question of that id; a ``BundleError`` where the model is not asked it."""
        for derived in self.derived_tasks:
            if derived.id == task:
                return derived
        raise BundleError(
            f"Model {self.id} has no such question",
            expected=" or ".join(derived.id for derived in self.derived_tasks),
            found=repr(task),
        )

    def with_table(self, table: EvaluationTable) -> "Model":
        """The same entry with one more table, shown first."""
        tables = [table, *self.tables]
        return self.model_copy(update={"evaluation": self.measured.model_copy(update={"tables": tables})})

    def threshold(self, task: str) -> float:
        """The decision limit of a derived task."""
        return next(threshold.value for threshold in self.thresholds if threshold.task == task)

    def abstention_limit(self, output: str) -> float:
        """The limit of an output beyond which the model gives no answer."""
        return next(item.limit for item in self.abstention if item.output == output)

    def is_recognised(self, novelty: NDArray[np.floating], probabilities: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Which inputs the model recognises, by its novelty limit: ``within_novelty`` with the model's own."""
        return within_novelty(novelty, probabilities, self.abstention_limit("novelty"))


def names_cervix(organs: Iterable[str]) -> bool:
    """Whether one of these organs is the cervix."""
    return any("cervix" in organ.casefold() for organ in organs)


def cervix_sentence(organs: Iterable[str]) -> str:
    """Whether the cervix is among these organs, in words."""
    return f"Cervix is {'' if names_cervix(organs) else 'not '}among them."


def within_novelty(novelty: NDArray[np.floating], probabilities: NDArray[np.floating], limit: float) -> NDArray[np.bool_]:
    """Whether tiles are like those that the model was trained on: ``(n,)``. A tile that is not gets no answer.

    A number that is not there, as of a tile that could not be read, is never recognised.

    Parameters
    ----------
    novelty : (n,)
    probabilities : (n, classes)
    """
    # In double precision whatever the array's: a float32 array would round the limit too, and a tile at it would be known on
    # the map and not at the label desk, whose store keeps doubles.
    known: NDArray[np.bool_] = (np.asarray(novelty, np.float64) <= limit) & np.isfinite(probabilities).all(axis=-1)
    return known


class Manifest(_Strict):
    """``bundle/manifest.json``."""

    schema_version: Literal[2]
    name: Title
    version: Annotated[str, Field(pattern=r"^\d{1,9}\.\d{1,9}\.\d{1,9}$")]
    changelog: list[str] = Field(min_length=1)
    created: datetime
    stage: Literal["demonstration", "research"]
    git_commit: Annotated[str, Field(pattern=r"^[0-9a-f]{40}(-dirty)?$")]
    packages: dict[str, str]
    files: list[BundleFile]
    models: list[Model] = Field(min_length=1)
    card: CardFacts

    @model_validator(mode="after")
    def _names_every_file(self) -> "Manifest":
        listed = [file.path for file in self.files]
        if len(set(listed)) != len(listed):
            raise ValueError("a file is listed twice")
        for model in self.models:
            if unlisted := set(model.files) - set(listed):
                raise ValueError(f"model {model.id!r} uses files that are not listed: {sorted(unlisted)}")
        ids = [model.id for model in self.models]
        if len(set(ids)) != len(ids):
            raise ValueError("a model id is used twice")
        for head in self.of_kind("slide-head"):
            check_encoder(head, self.models)
        if missing := set(ids) - set(self.card.models):
            raise ValueError(f"the card has no facts for {sorted(missing)}")
        return self

    def model(self, model_id: ModelId) -> Model:
        """The model of that id; ``KeyError`` where the bundle has none."""
        for model in self.models:
            if model.id == model_id:
                return model
        raise KeyError(model_id)

    @property
    def class_titles(self) -> dict[str, str]:
        """Class -> its words, of all models; where two name one class, the tile model's count, then the first's."""
        ordered = sorted(self.models, key=lambda model: model.kind != "tile")
        return {label: title for model in reversed(ordered) for label, title in model.class_titles.items()}

    def of_kind(self, kind: ModelKind) -> list[Model]:
        """The models of a kind, in the order of the manifest."""
        return [model for model in self.models if model.kind == kind]

    @property
    def slide_head(self) -> Model | None:
        """The first slide head that reads the first tile model, which slides are scored with; None where there is none."""
        encoders = [model.id for model in self.of_kind("tile")[:1]]
        return next((model for model in self.of_kind("slide-head") if model.reads in encoders), None)

    def first_of(self, kind: ModelKind, named: str = "") -> Model:
        """The model of a kind that is named, or the first; ``BundleError`` where there is none."""
        there = self.of_kind(kind)
        for model in there:
            if named in ("", model.id):
                return model
        raise BundleError(
            f"The bundle has no such {kind} model",
            expected=" or ".join(model.id for model in there) or f"a model of kind {kind}",
            found=repr(named) if named else f"models of kind {', '.join(sorted({model.kind for model in self.models}))}",
        )


def json_schema() -> str:
    """The published JSON Schema of the manifest, as text."""
    schema = Manifest.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "Cervix Workbench bundle manifest"
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def manifest_text(manifest: Manifest) -> str:
    """The manifest as it is written to ``manifest.json``."""
    return manifest.model_dump_json(indent=2) + "\n"


def schema_path(root: Path) -> Path:
    """Where a bundle carries its JSON Schema."""
    return root / SCHEMA_NAME
