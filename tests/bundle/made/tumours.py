"""A model of six made-up answering markers and eight reference markers, through the trainer's own graph."""

from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cervix.bundle.classes import ClassInfo
from cervix.bundle.manifest import Abstention, DerivedTask, GoldenTable, MarkerInput, Model
from cervix.bundle.markers import COHORT_QUANTILES, MarkerEncoding
from cervix.bundle.sessions import CPU_PROVIDER, Arrays, open_session
from tests.bundle.made.tiles import SHIPPED_CLASSES, write_tile_model
from tests.bundle.made.whole import baselines, model_of, sigmoid, table_of, write_manifest
from training.molecular.export import CLASSES, inputs, molecular_graph, outputs
from training.molecular.fit import Answer
from training.molecular.gaussian import fit_joint
from training.molecular.golden import golden_rows, write_golden_markers
from training.molecular.novelty import Gate
from training.shared.manifest_parts import write_bytes, write_golden

MODEL_ID: Final = "molecular"
ANSWER: Final = ("hsa-mir-205", "hsa-mir-944", "hsa-mir-375", "hsa-mir-1293", "hsa-mir-10a", "hsa-mir-192")
GATE: Final = tuple(f"hsa-mir-{number}" for number in ("21", "22", "25", "28", "140", "151", "186", "423"))
KEY: Final = ("hsa-mir-205", "hsa-mir-944", "hsa-mir-375")
SAMPLE_TUMOURS: Final = 8
CONTEXT: Final = [
    {"gene or HPV type": "KRAS mutated", "kind": kind, "n": n, "of": of, "share": share, "source": "Drawn"}
    for kind, n, of, share in (("glandular", "9", "44", "20.5 % (11.2–34.5)"), ("squamous", "7", "239", "2.9 % (1.4–5.9)"))
]
TUMOURS, LIMIT, THRESHOLD = 240, 1.7, 0.3
SHIFT: Final = np.array([-5.0, -4.0, 3.0, -2.0, 1.5, 1.5])
"""By how much more, in log2, a glandular tumour has of each answering marker."""
ANSWERS: Final = (
    ClassInfo(id="scc", title="Squamous-cell carcinoma", short="SCC", colour="#D55E00", role="malignant"),
    ClassInfo(id="ac", title="Adenocarcinoma", short="AC", colour="#CC79A7", role="malignant"),
)


def drawn_tumours(seed: int = 3) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Reads per million ``(n, 14)`` of drawn tumours, the answering markers first, and which are glandular."""
    rng = np.random.default_rng(seed)
    glandular = rng.random(TUMOURS) < 0.3
    answer = 8.0 + rng.normal(0, 1.2, (TUMOURS, len(ANSWER))) + glandular[:, None] * SHIFT
    common = rng.normal(0, 0.3, (TUMOURS, 1))
    gate = np.linspace(8.0, 13.0, len(GATE)) + common + rng.normal(0, 0.4, (TUMOURS, len(GATE)))
    return np.maximum(np.exp2(np.concatenate([answer, gate], axis=1)) - 1, 0), glandular


def made_parts() -> tuple[Answer, Gate]:
    """The answer and gate of the made model, for whoever compares its graph with them."""
    rpm, glandular = drawn_tumours()
    logs = np.log2(rpm + 1)
    half_each = np.where(glandular, 0.5 / glandular.sum(), 0.5 / (~glandular).sum())
    count = len(ANSWER)
    joint = fit_joint(logs[:, :count], half_each)
    answer = Answer(np.arange(count), joint, np.sign(SHIFT) * np.linspace(1.2, 0.4, count), -0.8, THRESHOLD, 1.0)
    return answer, Gate(np.arange(count, logs.shape[1]), fit_joint(logs[:, count:]), LIMIT)


def write_molecular_bundle(root: Path) -> Path:
    """A bundle with the made molecular model alone, under ``root``."""
    return write_manifest(root, [write_molecular_model(root)])


def write_tumour_bundle(root: Path) -> Path:
    """A bundle with a tile model that names the same kinds of carcinoma, and the made molecular model."""
    return write_manifest(root, [write_tile_model(root, "slide", SHIPPED_CLASSES), write_molecular_model(root)])


def sample_csv(rpm: NDArray[np.float64]) -> bytes:
    """The first drawn tumours as a table."""
    rows = pd.DataFrame(rpm[:SAMPLE_TUMOURS], columns=[*ANSWER, *GATE])
    rows.insert(0, "tumour", [f"T{row:03d}" for row in range(SAMPLE_TUMOURS)])
    return rows.to_csv(index=False, float_format="%.5g").encode()


def write_molecular_model(root: Path) -> Model:
    """The made molecular model under ``root``, and its entry."""
    rpm, glandular = drawn_tumours()
    answer, gate = made_parts()
    network = molecular_graph(answer, gate, np.array([ANSWER.index(name) for name in KEY]))
    width, names = rpm.shape[1], [spec.name for spec in outputs(rpm.shape[1])]
    session = open_session(network, CPU_PROVIDER)

    def run(rows: NDArray[np.float32]) -> Arrays:
        return dict(zip(names, session.run(names, {"rpm": rows}), strict=True))

    encoding = [
        MarkerEncoding(
            name=name, synonyms=["hsa-mir-151a"] if name == "hsa-mir-151" else [], key=name in KEY,
            use="answer" if name in ANSWER else "gate", trained_on=(float(values.min()), float(values.max())),
            cohort={
                label: [float(value) for value in np.quantile(values[glandular == (label == "ac")], COHORT_QUANTILES)]
                for label in CLASSES
            },
        )
        for name, values in zip((*ANSWER, *GATE), rpm.T, strict=True)
    ]  # fmt: skip
    rows = golden_rows(rpm, len(ANSWER))
    write_golden(root / MODEL_ID / "golden.npz", {"rpm": rows}, {"fp32": run(rows)})
    golden_table = write_golden_markers(root, MODEL_ID, encoding, rows, run)
    write_bytes(root / MODEL_ID / "sample.csv", sample_csv(rpm))
    return _entry(root, network, encoding, golden_table, width, answer.logits(np.log2(rpm + 1)), glandular)


def _entry(
    root: Path, network: bytes, encoding: list[MarkerEncoding], golden_table: GoldenTable, width: int,
    logits: NDArray[np.float64], glandular: NDArray[np.bool_],
) -> Model:  # fmt: skip
    probability = sigmoid(logits)
    cases = np.array([f"T{number:03d}" for number in range(len(logits))])
    frame = pd.DataFrame(
        {"case": cases, "group": cases, "label": np.where(glandular, "ac", "scc"), "p_scc": 1 - probability,
         "p_ac": probability, "rival__p_scc": 0.7, "rival__p_ac": 0.3}
    )  # fmt: skip
    return model_of(
        root, MODEL_ID, network, {"fp32": "cpu"}, frame, kind="molecular", title="Squamous or glandular", short="MicroRNA",
        inputs=inputs(width), outputs=outputs(width), classes=list(ANSWERS),
        derived_tasks=[DerivedTask(id="glandular", title="Glandular", positive=["ac"], negative=["scc"])],
        thresholds={"glandular": THRESHOLD},
        markers=MarkerInput.model_validate(
            {"encoding": encoding, "golden_table": golden_table, "sample": f"{MODEL_ID}/sample.csv", "steps_in_graph": ["log2"]}
        ),
        abstention=[
            Abstention(output="novelty", limit=LIMIT, chosen_by="made so"),
            Abstention(output="reference_known", limit=0.75, chosen_by="made so"),
            Abstention(output="key_known", limit=0.3, chosen_by="made so"),
        ],
        evaluation={
            "baselines": baselines(rival="Always the same"),
            "tables": [table_of(root, MODEL_ID, "context", "Mutations by kind", CONTEXT)],
        },
    )  # fmt: skip
