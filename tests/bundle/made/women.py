"""Models of visits: risk rises with what was found, the newest result counts most; one of them looks at a tile too."""

from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from onnx import TensorProto

from cervix.bundle.classes import ClassInfo
from cervix.bundle.manifest import (
    Abstention,
    Acquisition,
    Calibration,
    CalibrationTest,
    DerivedTask,
    FeatureEncoding,
    FeatureInput,
    Model,
    PublishedFigure,
)
from cervix.bundle.sessions import Arrays
from cervix.patients.encoding import VISIT_FEATURES
from cervix.patients.golden import encoded_table
from cervix.patients.history_scoring import OUTPUTS
from cervix.patients.joint import EMBEDDING_SIZE
from cervix.patients.sequences import EPISODE_DAYS, MOST_VISITS
from cervix.patients.visit_sample import sample_visits_csv
from cervix.patients.visits import read_visits
from tests.bundle.made.graph import Node, answers, graph, spec
from tests.bundle.made.tiles import SHIPPED_CLASSES, centres_rgb, embedding_of_colour
from tests.bundle.made.whole import baselines, drawn_labels, model_of, sigmoid, table_of
from training.history.golden_table import golden_visits_csv
from training.shared.manifest_parts import add_probabilities, write_arrays, write_golden, write_golden_table

FEATURES: Final = [feature.name for feature in VISIT_FEATURES]
# What a unit of each adds to the log odds of CIN2+ within 3 years, and the value that leaves them as they are. What is not
# known adds nothing.
WEIGHTS: Final = {
    "age": (0.01, 40.0), "cytology_squamous": (1.1, 0.3), "cytology_glandular": (1.1, 0.1), "hpv": (1.6, 0.2),
    "hpv_16": (0.8, 0.1), "hpv_18": (0.6, 0.1), "hpv_other": (0.4, 0.1), "dual_stain": (0.5, 0.2),
    "colposcopy": (0.7, 0.5), "histology": (0.8, 0.5), "treatment": (-0.8, 0.3), "smoker": (0.3, 0.2),
    "immunosuppressed": (0.6, 0.1), "hpv_vaccinated": (-0.5, 0.3),
}  # fmt: skip
RESULTS: Final = [name for name in FEATURES if name.startswith(("cytology", "hpv")) and name != "hpv_vaccinated"]
RESULTS.extend(["colposcopy", "histology"])
LOG_ODDS_OF_NOTHING_KNOWN = -3.9
TITLE: Final = "Risk of CIN2+ and CIN3+ from visits"
TRAINED_AGES: Final = (21.0, 75.0)
TRAINED_GAP_YEARS: Final = 20.0
A_YEAR_SINCE_CYTOLOGY = 0.02
MEMBERS: Final = [-0.2, 0.0, 0.2]
"""By how much each network of the ensemble differs in log odds."""

COURSES: Final = tuple(
    ClassInfo(id=label, title=title, short=short, colour=colour, role="benign" if label == "none" else "other")
    for label, title, short, colour in (
        ("none", "No CIN2+ within 5 years", "none", "#0072B2"),
        ("cin2-5y", "CIN2+ after 3 and within 5 years", "CIN2+ late", "#56B4E9"),
        ("cin2-3y", "CIN2 within 3 years, no CIN3+", "CIN2", "#E69F00"),
        ("cin2-3y-cin3-5y", "CIN2 within 3 years, CIN3+ within 5", "CIN3+ late", "#D55E00"),
        ("cin3-3y", "CIN3+ within 3 years", "CIN3+", "#CC79A7"),
    )
)
# How much the log odds of each course or a worse one lie above those of CIN2+ within 3 years.
STEPS: Final = np.array([0.5, 0.0, -0.8, -1.2])
LESIONS: Final = (
    ClassInfo(id="benign", title="Benign", short="Benign", colour="#0072B2", role="benign"),
    ClassInfo(id="squamous", title="Squamous CIN2+", short="Squamous", colour="#D55E00", role="other"),
    ClassInfo(id="glandular", title="Glandular CIN2+", short="Glandular", colour="#CC79A7", role="other"),
)


def _question(years: int, grade: int) -> DerivedTask:
    ids = [item.id for item in COURSES]
    positive = {(3, 2): ids[2:], (3, 3): ids[4:], (5, 2): ids[1:], (5, 3): ids[3:]}[years, grade]
    negative = [label for label in ids if label not in positive]
    title = f"CIN{grade}+ within {years} years"
    return DerivedTask(id=f"cin{grade}-{years}y", title=title, positive=positive, negative=negative)


QUESTIONS: Final = [_question(3, 2), _question(3, 3), _question(5, 2), _question(5, 3)]


THRESHOLDS: Final = {"cin2-3y": 0.05, "cin3-3y": 0.03, "cin2-5y": 0.08, "cin3-5y": 0.04}


def write_history_model(
    root: Path, model_id: str, title: str = TITLE, short: str = "History", *, odds_higher: float = 0.0, is_ensemble: bool = True
) -> Model:
    """Write a sequence model of five courses and its files under ``root``.

    Parameters
    ----------
    odds_higher : by how much its log odds lie above those of the usual one
    is_ensemble : otherwise it is asked two questions alone, and gives no answer after each step, of each network, and no state,
        as trees do
    """
    outputs = [
        spec("probabilities", len(COURSES)), spec("trajectory", "V"), spec("member_risk", len(MEMBERS)),
        spec("state", len(FEATURES)), spec("results_known"),
    ]  # fmt: skip
    asked = QUESTIONS
    if not is_ensemble:
        asked = [question for question in QUESTIONS if question.id in ("cin2-3y", "cin3-5y")]
        outputs = [output for output in outputs if output.name in OUTPUTS]
    constants = _constants() | _course_constants() | {"bias": LOG_ODDS_OF_NOTHING_KNOWN + odds_higher}
    network = graph([*_NODES, *_COURSE_NODES], constants, _inputs(), outputs)
    women = _sample_women(EPISODE_DAYS)
    write_golden(root / model_id / "golden.npz", women, {"fp32": answers(network, women)})
    write_arrays(root / model_id / "background.npz", women)
    write_arrays(root / model_id / "rehearsal.npz", {"label": np.array([item.id for item in COURSES])})
    tests = [
        CalibrationTest(
            task=task, n=600, events=60, observed_expected=[1.0, 0.9, 1.1], ece=[0.01, 0.0, 0.02], p_value=0.5, rule="made so",
            passed=True,
        )
        for task in ("cin2-3y", "cin3-3y", "cin3-5y")
        if any(question.id == task for question in asked)
    ]  # fmt: skip
    return model_of(
        root, model_id, network, {"fp32": "cpu"}, _courses_drawn(),
        kind="sequence", title=title, short=short, inputs=_inputs(), outputs=outputs,
        classes=list(COURSES), derived_tasks=asked, features=_features(root, model_id, network),
        outcome="What was drawn" if is_ensemble else "What was drawn of two outcomes",
        thresholds={question.id: THRESHOLDS[question.id] for question in asked},
        abstention=[Abstention(output="results_known", limit=1.0, chosen_by="made so")],
        calibration=Calibration(method="none", parameters={}, fitted_on="nothing", tests=tests),
        background=f"{model_id}/background.npz", rehearsal=f"{model_id}/rehearsal.npz",
        acquisition=Acquisition(strategy="diverse", chosen_by="made so"),
        evaluation={
            "baselines": baselines(always_no="Always no (the share of events)", last_visit="Last visit alone"),
            "tables": _label_tables(root, model_id),
            "published": [PublishedFigure(metric="accuracy", value=0.9, task="cin2-3y", source="Nobody's paper")],
        },
    )  # fmt: skip


def write_joint_model(root: Path, model_id: str) -> Model:
    """Write a model of visits and a tile's embedding, and its files under ``root``."""
    inputs = [*_inputs(), spec("embedding", EMBEDDING_SIZE)]
    outputs = [spec(name, len(LESIONS)) for name in ("probabilities", "history_probabilities", "slide_probabilities")]
    network = graph([*_NODES, *_JOINT_NODES], _constants() | _joint_constants(), inputs, outputs)
    women = _sample_women(None)
    women |= _embeddings(len(women["lengths"]))
    write_golden(root / model_id / "golden.npz", women, {"fp32": answers(network, women)})
    halves = table_of(root, model_id, "halves", "Both, and each half alone", [{"read": "Both", "AUROC": "drawn"}])
    return model_of(
        root, model_id, network, {"fp32": "cpu"}, _pairs_drawn(),
        kind="joint", title="History and slide together", short="History and slide", inputs=inputs, outputs=outputs,
        classes=list(LESIONS), features=_features(root, model_id, network, joint=True),
        derived_tasks=[
            DerivedTask(id="cin2-at-biopsy", title="CIN2+ at biopsy", positive=["squamous", "glandular"], negative=["benign"]),
            DerivedTask(id="glandular-lesion", title="Glandular or squamous", positive=["glandular"], negative=["squamous"]),
        ],
        thresholds={"cin2-at-biopsy": 0.5, "glandular-lesion": 0.5},
        evaluation={"baselines": baselines(history="History alone", slide="Slide alone"), "tables": [halves]},
    )  # fmt: skip


def _inputs() -> list[Any]:
    features = spec("features", "V", len(FEATURES)), spec("gap_years", "V", len(FEATURES))
    return [*features, spec("lengths", dtype="int32")]


def _sample_women(episode_days: int | None) -> Arrays:
    _, arrays = encoded_table(read_visits(sample_visits_csv(20).encode()), VISIT_FEATURES, episode_days)
    return dict(arrays)


def _embeddings(count: int) -> Arrays:
    colours = _centres_of_lesions()[np.arange(count) % len(LESIONS)]
    return {"embedding": np.asarray(colours @ embedding_of_colour(), np.float32)}


def _centres_of_lesions() -> NDArray[np.float32]:
    """Colours of the tiles that stand for lesions ``(3, 3)``: all shipped classes but other tissue."""
    return centres_rgb(SHIPPED_CLASSES)[: len(LESIONS)]


def _features(root: Path, model_id: str, network: bytes, *, joint: bool = False) -> FeatureInput:
    # One model of each kind that there is: the older one reads rows, and its manifest says nothing of its training's reach.
    encoding = list(VISIT_FEATURES) if joint else [_trained(feature) for feature in VISIT_FEATURES]
    episode_days = None if joint else EPISODE_DAYS
    table = write_golden_table(
        root, model_id, golden_visits_csv(), encoding, lambda arrays: answers(network, arrays), one_row=False,
        episode_days=episode_days, others=_embeddings if joint else lambda _: {},
    )  # fmt: skip
    return FeatureInput(
        encoding=encoding, visits=MOST_VISITS, gaps="years-since-measured", golden_table=table,
        steps="rows" if joint else "episodes", episode_days=episode_days,
        steps_in_graph=["what is not known counts for nothing", "each visit counts for a quarter of the next"],
    )  # fmt: skip


def _trained(feature: FeatureEncoding) -> FeatureEncoding:
    ages = TRAINED_AGES if feature.name == "age" else None
    return feature.model_copy(update={"trained_on": ages, "longest_gap_years": TRAINED_GAP_YEARS})


_FADING: Final = 0.25 ** np.arange(MOST_VISITS)[None, None, ::-1]
_UP_TO_EACH: Final = {"pads": [MOST_VISITS - 1, 0]}
# Log odds (N, V) as they stood after each visit, and after the last (N, 1).
_NODES: Final[list[Node]] = [
    ("IsNaN", ["features"], "missing", {}), ("Where", ["missing", "usual", "features"], "filled", {}),
    ("Sub", ["filled", "usual"], "unusual", {}),
    ("Gather", ["missing", "results"], "no_result", {"axis": 2}), ("Not", ["no_result"], "result", {}),
    ("Cast", ["result"], "result_number", {"to": TensorProto.FLOAT}),
    ("ReduceMax", ["result_number", "last_axis"], "heard", {"keepdims": 1}),
    ("Gather", ["gap_years", "cytology"], "gap", {"axis": 2}), ("IsNaN", ["gap"], "first_time", {}),
    ("Where", ["first_time", "nothing", "gap"], "years", {}), ("Mul", ["years", "a_year"], "of_time", {}),
    ("MatMul", ["unusual", "weights"], "of_results", {}), ("Add", ["of_results", "of_time"], "of_visit", {}),
    ("Mul", ["of_visit", "heard"], "heard_of_visit", {}),
    # At each later visit it counts for a quarter of before: a convolution over the visits up to each.
    ("Transpose", ["heard_of_visit"], "told_at", {"perm": [0, 2, 1]}), ("Conv", ["told_at", "fading"], "told", _UP_TO_EACH),
    ("Add", ["told", "bias"], "log_odds_row", {}), ("Squeeze", ["log_odds_row", "one"], "log_odds", {}),
    ("Cast", ["lengths"], "long", {"to": TensorProto.INT64}), ("Unsqueeze", ["long", "one"], "length_column", {}),
    ("Sub", ["length_column", "one"], "place", {}), ("GatherElements", ["log_odds", "place"], "last", {"axis": 1}),
]  # fmt: skip
_COURSE_NODES: Final[list[Node]] = [
    ("Sigmoid", ["log_odds"], "trajectory", {}),
    ("Add", ["last", "steps"], "stepped", {}), ("Sigmoid", ["stepped"], "or_worse", {}),
    ("MatMul", ["or_worse", "differences"], "shares", {}), ("Add", ["shares", "of_none"], "probabilities", {}),
    ("Add", ["last", "members"], "member_odds", {}), ("Sigmoid", ["member_odds"], "member_risk", {}),
    ("Transpose", ["unusual"], "unusual_at", {"perm": [0, 2, 1]}),
    ("Conv", ["unusual_at", "fading_each"], "states", _UP_TO_EACH | {"group": len(FEATURES)}),
    ("Unsqueeze", ["place", "one"], "place_3", {}), ("Expand", ["place_3", "one_state"], "places", {}),
    ("GatherElements", ["states", "places"], "state_column", {"axis": 2}),
    ("Squeeze", ["state_column", "last_axis"], "state", {}),
    ("ReduceSum", ["heard", "visit_axes"], "results_known", {"keepdims": 0}),
]  # fmt: skip
_JOINT_NODES: Final[list[Node]] = [
    ("Mul", ["last", "by_lesion"], "of_lesion", {}), ("Add", ["of_lesion", "lesion_bias"], "history_logits", {}),
    ("MatMul", ["embedding", "colours"], "of_colour", {}), ("Add", ["of_colour", "colour_bias"], "slide_logits", {}),
    ("Add", ["history_logits", "slide_logits"], "logits", {}), ("Softmax", ["logits"], "probabilities", {"axis": 1}),
    ("Softmax", ["history_logits"], "history_probabilities", {"axis": 1}),
    ("Softmax", ["slide_logits"], "slide_probabilities", {"axis": 1}),
]  # fmt: skip


def _constants() -> dict[str, Any]:
    return {
        "usual": np.array([WEIGHTS[name][1] for name in FEATURES]),
        "weights": np.array([[WEIGHTS[name][0]] for name in FEATURES]),
        "results": np.int64([FEATURES.index(name) for name in RESULTS]),
        "cytology": np.int64([FEATURES.index("cytology_squamous")]), "a_year": A_YEAR_SINCE_CYTOLOGY, "nothing": 0.0,
        "fading": _FADING, "one": np.int64([1]), "last_axis": np.int64([2]),
        "bias": LOG_ODDS_OF_NOTHING_KNOWN,
    }  # fmt: skip


def _course_constants() -> dict[str, Any]:
    return {
        "steps": STEPS, "differences": np.eye(4, 5, 1) - np.eye(4, 5), "of_none": np.eye(5)[0],
        "members": np.array(MEMBERS), "visit_axes": np.int64([1, 2]), "one_state": np.int64([1, len(FEATURES), 1]),
        "fading_each": np.tile(_FADING, (len(FEATURES), 1, 1)),
    }  # fmt: skip


def _joint_constants() -> dict[str, Any]:
    # Softer than the tile model, so that the history still has a say.
    centres, sharpness = _centres_of_lesions(), 0.0015
    return {
        "by_lesion": np.array([[0.0, 1.0, 1.0]]), "lesion_bias": np.array([0.0, 2.0, 0.0]),
        "colours": 2 * sharpness * embedding_of_colour().T @ centres.T,
        "colour_bias": -sharpness * (centres**2).sum(axis=1),
    }  # fmt: skip


def _who(rng: np.random.Generator, count: int) -> dict[str, NDArray[np.str_]]:
    return {
        "by_age": rng.choice(["30 to 39", "40 to 49", "50 and over", "under 30"], count),
        "by_known": rng.choice(["cytology alone", "tested for HPV"], count),
    }


def _courses_drawn(count: int = 600) -> pd.DataFrame:
    """Held-out women whose outcomes are drawn from the model's own answers."""
    rng = np.random.default_rng(3)
    odds = rng.normal(-2.6, 1.6, (count, 1))
    worse = np.hstack([np.ones((count, 1)), sigmoid(odds + STEPS), np.zeros((count, 1))])
    shares = worse[:, :-1] - worse[:, 1:]
    labels = drawn_labels(rng, COURSES, shares)
    names = [f"W{at:04d}" for at in range(count)]
    frame = pd.DataFrame({"case": names, "group": names, "label": labels})
    add_probabilities(frame, "p_", [item.id for item in COURSES], shares.astype(np.float32))
    noisy = odds + rng.normal(0, 1.5, (count, 1))
    for task in QUESTIONS:
        share = np.isin(labels, task.positive).mean()
        step = {"cin2-5y": STEPS[0], "cin2-3y": STEPS[1], "cin3-5y": STEPS[2], "cin3-3y": STEPS[3]}[task.id]
        frame = frame.assign(**{f"always-no__{task.id}": share, f"last-visit__{task.id}": sigmoid(noisy + step)[:, 0]})
    return frame.assign(**_who(rng, count))


def _pairs_drawn(count: int = 300, groups: int = 30) -> pd.DataFrame:
    """Held-out pairs whose outcomes are drawn from the model's own answers."""
    rng = np.random.default_rng(4)
    halves = rng.normal(0, [[0.0, 1.5, 1.5]], (2, count, 3))
    halves[..., 2] -= 1.0

    def softmax(logits: NDArray[np.floating]) -> NDArray[np.floating]:
        return np.asarray(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True))

    both = softmax(halves.sum(axis=0))
    frame = pd.DataFrame(
        {"case": [f"W{at:04d}" for at in range(count)], "group": [f"tile-{at % groups}" for at in range(count)]}
    )
    frame = frame.assign(label=drawn_labels(rng, LESIONS, both))
    names = [item.id for item in LESIONS]
    for prefix, shares in (("p_", both), ("history__p_", softmax(halves[0])), ("slide__p_", softmax(halves[1]))):
        add_probabilities(frame, prefix, names, shares.astype(np.float32))
    return frame.assign(**_who(rng, count))


def _label_tables(root: Path, model_id: str) -> list[Any]:
    curve = [
        {"strategy": strategy, "labels": str(labels), "AUROC": f"{at:.3f} ({at - 0.05:.3f}–{at + 0.05:.3f})",
         "average precision": f"{at - 0.5:.3f} ({at - 0.6:.3f}–{at - 0.4:.3f})", "events found": "1.0"}
        for strategy, gain in (("Random", 0.0), ("Entropy", 0.03), ("Diverse", 0.05))
        for labels, at in ((200, 0.7 + gain), (500, 0.75 + gain), (800, 0.8 + gain))
    ]  # fmt: skip
    saved = [
        {"strategy": strategy, "labels saved": share, "default": default, "n": "5 seeds"}
        for strategy, share, default in (("Random", "0%", "no"), ("Diverse", "50%", "yes"))
    ]
    held = [{"outcome": task.title, "observed / expected": "1.00 (0.90–1.10)", "passed": "yes"} for task in QUESTIONS[:2]]
    return [
        table_of(root, model_id, "labels-saved", "Which women to label next: labels saved", saved),
        table_of(root, model_id, "learning-curves", "Which women to label next: learning curves", curve),
        table_of(root, model_id, "calibration", "May the probabilities be read as frequencies?", held),
    ]
