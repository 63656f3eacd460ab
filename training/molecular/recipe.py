"""The molecular model: from TCGA's open tables to its files and its entry in a manifest."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cervix.bundle.manifest import Model
from cervix.bundle.markers import COHORT_QUANTILES, MarkerEncoding
from cervix.bundle.sessions import CPU_PROVIDER, Arrays, open_session
from training.molecular.context import context_rows
from training.molecular.data import Cohort, load_cohort, load_lung, load_mutations, load_rivals
from training.molecular.elsewhere import external_rows, gate_allowed, gate_rows, shown_rows
from training.molecular.entry import SAMPLE_NAME, molecular_entry
from training.molecular.export import CLASSES, graph_places, molecular_graph, outputs
from training.molecular.fit import Answer, Settings
from training.molecular.gaussian import log_rpm
from training.molecular.golden import golden_rows, write_golden_markers
from training.molecular.held_out import (
    comparison_rows,
    error_rows,
    held_out_model,
    hpv_groups,
    permuted_row,
)
from training.molecular.novelty import Gate, fit_gate
from training.shared.declared import RecipeNotAsDeclared, declared_ids, read_recipe
from training.shared.manifest_parts import write_bytes, write_golden, write_predictions, write_table
from training.shared.stages import Log

SAMPLE_TUMOURS = 12
SYNONYMS = {
    "hsa-mir-151": ["hsa-mir-151a"],
    "hsa-mir-203": ["hsa-mir-203a"],
    "hsa-mir-378": ["hsa-mir-378a"],
    "hsa-mir-451": ["hsa-mir-451a"],
    "hsa-mir-664": ["hsa-mir-664a"],
}
"""Precursors of the tables' catalogue (miRBase 16) that later releases renamed when a second of the family was found
(miRBase 22, Kozomara et al. 2019, Nucleic Acids Res 47:D155-D162)."""


def train_molecular(recipe_path: Path, folder: Path, out_dir: Path, log: Log) -> list[Model]:
    """Measure by nested folds, fit, export under ``out_dir``. Returns the manifest entry.

    The exported model is that of the first fold of the first repeat: the hospitals of its test fold taught it nothing, and
    the sample table is drawn from them.

    Raises
    ------
    MolecularDataMissing
        If a table is not in ``folder``.
    RecipeNotAsDeclared
        If a key marker of the recipe is not among those that were chosen.
    """
    recipe = read_recipe(recipe_path)
    model_id = declared_ids(recipe)[0]
    settings, seed = Settings.of(recipe), recipe["seed"]
    cohort = load_cohort(folder, seed)
    lung = load_lung(folder, cohort.markers)
    log(f"{len(cohort.cases)} tumours of {len(set(cohort.hospitals))} hospitals, {int(cohort.glandular.sum())} glandular")
    held = held_out_model(cohort, settings, recipe)
    answer, train, test = held.first, held.train, held.test
    logs = log_rpm(cohort.rpm)
    gate = fit_gate(
        logs[train], cohort.glandular[train], cohort.hospitals[train], gate_allowed(cohort, lung), recipe["novelty"], seed
    )
    key = _key_places(cohort, answer, recipe)
    tables = {
        "rivals": comparison_rows(cohort, held, load_rivals(folder, cohort), settings, recipe),
        "external": external_rows(cohort, lung, answer, gate, test, settings, recipe),
        "gate": gate_rows(cohort, lung, held, gate, recipe),
        "errors": error_rows(cohort, held.model),
        "left-out": shown_rows(cohort, answer, gate),
        "context": context_rows(cohort, load_mutations(folder, cohort, recipe["context"]["genes"]), recipe["context"]),
    }
    chance = pd.DataFrame([permuted_row(cohort, settings, recipe)])
    tables["rivals"] = pd.concat([tables["rivals"], chance], ignore_index=True).fillna("–")
    for name, table in tables.items():
        log(f"{name}\n{table.to_string(index=False)}")
        write_table(out_dir / model_id / f"{name}.csv", table)

    onnx_bytes = molecular_graph(answer, gate, key)
    file = f"{model_id}/fp32.onnx"
    write_bytes(out_dir / file, onnx_bytes)
    session = open_session(onnx_bytes, CPU_PROVIDER)
    places = graph_places(answer, gate)
    names = [spec.name for spec in outputs(len(places))]

    def run(rpm: NDArray[np.float32]) -> Arrays:
        return dict(zip(names, session.run(names, {"rpm": rpm}), strict=True))

    encoding = _encoding(cohort, answer, gate, train, key)
    rows = golden_rows(cohort.rpm[test][:, places], len(answer.places))
    write_golden(out_dir / f"{model_id}/golden.npz", {"rpm": rows}, {"fp32": run(rows)})
    golden_table = write_golden_markers(out_dir, model_id, encoding, rows, run)
    write_predictions(out_dir / f"{model_id}/predictions.parquet", _predictions(cohort, held.model.probability[0], held))
    write_bytes(out_dir / model_id / SAMPLE_NAME, _sample(cohort, test, seed).encode())
    return [molecular_entry(recipe, model_id, cohort, held, answer, gate, encoding, golden_table, file)]


def _key_places(cohort: Cohort, answer: Answer, recipe: dict[str, Any]) -> NDArray[np.intp]:
    """Which of the answer's markers are the key ones."""
    chosen = list(cohort.markers[answer.places])
    wanted = recipe["model"]["key_markers"]
    if missing := [name for name in wanted if name not in chosen]:
        raise RecipeNotAsDeclared(
            f"Recipe {recipe['name']} names key markers that were not chosen", expected="markers among " + ", ".join(chosen),
            found=", ".join(missing),
        )  # fmt: skip
    return np.array([chosen.index(name) for name in wanted], np.intp)


def _encoding(
    cohort: Cohort, answer: Answer, gate: Gate, train: NDArray[np.intp], key: NDArray[np.intp]
) -> list[MarkerEncoding]:  # fmt: skip
    made = []
    for number, place in enumerate(graph_places(answer, gate)):
        values = cohort.rpm[train, place]
        name = str(cohort.markers[place])
        by_class = dict(zip(CLASSES, (values[~cohort.glandular[train]], values[cohort.glandular[train]]), strict=True))
        made.append(
            MarkerEncoding(
                name=name, synonyms=SYNONYMS.get(name, []), use="answer" if number < len(answer.places) else "gate",
                key=number in key, trained_on=(float(values.min()), float(values.max())),
                cohort={
                    label: [float(f"{value:.4g}") for value in np.quantile(of, COHORT_QUANTILES)]
                    for label, of in by_class.items()
                },
            )
        )  # fmt: skip
    return made


def _predictions(cohort: Cohort, probability: NDArray[np.float64], held: Any) -> pd.DataFrame:
    network = held.network.probability[0]
    scc, ac = CLASSES
    return pd.DataFrame(
        {
            "case": cohort.cases,
            "group": cohort.cases,
            "label": np.where(cohort.glandular, ac, scc),
            f"p_{scc}": 1 - probability,
            f"p_{ac}": probability,
            f"network__p_{scc}": 1 - network,
            f"network__p_{ac}": network,
            "by_hpv": hpv_groups(cohort.hpv),
        }
    )


def _sample(cohort: Cohort, test: NDArray[np.intp], seed: int) -> str:
    """Whole profiles of some tumours of the test fold under drawn numbers, a third of them glandular if there are so many."""
    rng = np.random.default_rng(seed)
    glandular = rng.permutation(test[cohort.glandular[test]])[: SAMPLE_TUMOURS // 3]
    squamous = rng.permutation(test[~cohort.glandular[test]])[: SAMPLE_TUMOURS - len(glandular)]
    chosen = rng.permutation(np.concatenate([glandular, squamous]))
    expressed = cohort.rpm[chosen].any(axis=0)
    frame = pd.DataFrame(cohort.rpm[chosen][:, expressed], columns=cohort.markers[expressed])
    frame.insert(0, "tumour", cohort.cases[chosen])
    return str(frame.to_csv(index=False, float_format="%.5g", lineterminator="\n"))
