"""The graphs of a wrapped model: fp32 always, smaller ones where they are wanted and agree with it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidGraph, NotImplemented, RuntimeException

from cervix.bundle.manifest import Precision, Variant, VariantDifference
from cervix.bundle.sessions import Arrays
from cervix.slides.phantom import phantom_region
from training.shared.manifest_parts import write_bytes, write_golden
from training.shared.onnx_graphs import run_onnx
from training.slide.quantise import to_fp16, to_int8
from training.slide.variants import compare, refuse_if_different
from training.wrap.about import AboutModel
from training.wrap.graph import NOVELTY, TILES
from training.wrap.listed import TEST, VALIDATION
from training.wrap.refusal import WrapRefused
from training.wrap.tiles import HeldOutTiles

Told = dict[str, NDArray[np.float32]]
SCORES = ["probabilities", "novelty"]
GOLDEN_TILES = 4
# Golden tolerances allow for another processor's kernels, not for another model: a share of the largest value of each output.
TOLERANCE: Mapping[Precision, float] = {"fp32": 1e-3, "fp16": 0.02, "int8": 0.05}
PROBABILITY_TOLERANCE: Mapping[Precision, float] = {"fp32": 1e-3, "fp16": 0.02, "int8": 0.02}
SMALLEST_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Exported:
    """One graph, what it says of the test tiles, if any, and how far that is from fp32 (None for fp32 itself)."""

    content: bytes
    on_test: Told
    difference: VariantDifference | None


def run(graph: onnx.ModelProto | bytes, pixels: NDArray[np.uint8], names: list[str]) -> Told:
    """Answers of a graph for tiles, by name; ``WrapRefused`` where it does not run."""
    content = graph if isinstance(graph, bytes) else graph.SerializeToString()
    try:
        return run_onnx(content, pixels, names)
    except (Fail, InvalidGraph, NotImplemented, RuntimeException, ValueError) as error:
        raise WrapRefused(
            "The model does not run on these tiles",
            expected="a graph that takes any number of tiles at once",
            found=(str(error).splitlines() or [""])[0][:200],
            action="Export the model with a free batch size.",
        ) from error


def export_variants(
    single: onnx.ModelProto, about: AboutModel, settings: Mapping[str, Any], tiles: HeldOutTiles, log: Callable[[str], None]
) -> dict[Precision, Exported]:
    """fp32, and every variant that is asked for.

    Parameters
    ----------
    single : the wrapped graph in single precision
    settings : ``calibration_tiles, agreement_at_least, auroc_loss_at_most``

    Raises
    ------
    WrapRefused, VariantRefused
    """
    validation, test = tiles.of(VALIDATION), tiles.of(TEST)
    content = single.SerializeToString()
    if not len(test.labels):
        if wanted := [item for item in about.fit.variants if item != "fp32"]:
            raise WrapRefused(
                "A smaller variant cannot be held against fp32",
                expected="test tiles, on which the two must agree",
                found=f"{' and '.join(wanted)} wanted, and no test tiles",
                action="Bring test tiles, or leave fit.variants out.",
            )
        return {"fp32": Exported(content, {}, None)}
    reference = Exported(content, run(content, test.pixels, SCORES), None)
    made: dict[Precision, Exported] = {"fp32": reference}
    for precision in dict.fromkeys(item for item in about.fit.variants if item != "fp32"):
        if precision == "int8":
            content = _quantised(single, validation, settings["calibration_tiles"], about.fit.seed)
        else:
            kept = [node.name for node in single.graph.node if node.name.split("/")[0] == NOVELTY]
            content = to_fp16(single, in_single=kept)
        told = run(content, test.pixels, SCORES)
        difference = compare(
            reference.on_test["probabilities"], told["probabilities"], test.labels, test.groups, about.class_ids, about.tasks
        )
        refuse_if_different(precision, difference, settings)
        log(f"{precision}: {difference.agreement:.2%} of {difference.n} test tiles are answered as by fp32.")
        made[precision] = Exported(content, told, difference)
    return made


def _quantised(single: onnx.ModelProto, validation: HeldOutTiles, most: int, seed: int) -> bytes:
    if all(node.op_type != "Conv" for node in single.graph.node):
        raise WrapRefused("int8 is not made of this model", expected="convolutions", found="none", action="Leave int8 out.")
    count = min(most, len(validation.labels))
    chosen = np.random.default_rng(seed).choice(len(validation.labels), count, replace=False)
    return to_int8(single, validation.pixels[chosen])


def write_variants(folder: Path, about: AboutModel, made: Mapping[Precision, Exported], names: list[str]) -> list[Variant]:
    """Write graphs and golden vectors under ``folder``; the variants as the manifest lists them.

    Parameters
    ----------
    names : of all outputs
    """
    size, model_id = about.input.size_px, about.model.id
    golden = np.stack([phantom_region(size, size, seed=seed, tissue_share=0.9) for seed in range(GOLDEN_TILES)])
    told: dict[str, Arrays] = {}
    variants = []
    # The app runs the first that is for its device: int8 before fp32, as the figures are those of int8 where it was made.
    for precision, exported in sorted(made.items(), key=lambda item: item[0] != "int8"):
        file = f"{model_id}/{precision}.onnx"
        write_bytes(folder / file, exported.content)
        told[precision] = dict(run(exported.content, golden, names))
        largest = {name: float(np.abs(values).max()) for name, values in told[precision].items()}
        tolerance = {name: max(SMALLEST_TOLERANCE, TOLERANCE[precision] * value) for name, value in largest.items()}
        variants.append(
            Variant(
                precision=precision,
                file=file,
                runs_on="cuda" if precision == "fp16" else "cpu",
                tolerance=tolerance | {"probabilities": PROBABILITY_TOLERANCE[precision]},
                difference=exported.difference,
            )
        )
    write_golden(folder / model_id / "golden.npz", {TILES: golden}, told)
    return variants
