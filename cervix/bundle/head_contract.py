"""What a slide head is held to: its tensors, the tile model whose embeddings it reads, and what its answers must be like.

A slide head answers for a whole slide from the embeddings of its tiles, and says how much it looked at each (attention-based
multiple-instance learning: Ilse, Tomczak and Welling 2018, Proc Mach Learn Res 80:2127-2136).
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from cervix.errors import BundleError

if TYPE_CHECKING:
    from cervix.bundle.manifest import Model, TensorSpec
    from cervix.bundle.sessions import Arrays

EMBEDDINGS, POSITIONS, PROBABILITIES, ATTENTION = "embeddings", "positions", "probabilities", "attention"
COORDINATES: Final = 2
"""Across and down, of a tile's centre, in micrometres from the upper left corner of level 0."""
LARGEST_DIFFERENCE: Final = 1e-3
"""By so much sums may differ from 1, and answers when the tiles come in another order: single precision adds up 20,000 numbers
to about 1e-5."""
GOLDEN_TILES_AT_LEAST: Final = 2
"""Of one tile neither order nor attention says anything."""


def check_tensors(inputs: "Sequence[TensorSpec]", outputs: "Sequence[TensorSpec]", classes: int) -> None:
    """Raise ``ValueError`` unless a slide head has the tensors of its kind.

    ``embeddings (T, D)`` and ``positions (T, 2)`` float32 go in, ``probabilities (1, classes)`` and ``attention (T)`` float32
    come out, with one name for the number of tiles. Further outputs are allowed.
    """
    there = {spec.name: spec for spec in (*inputs, *outputs)}
    if {spec.name for spec in inputs} != {EMBEDDINGS, POSITIONS}:
        raise ValueError(f"a slide head reads {EMBEDDINGS} and {POSITIONS}, not {[spec.name for spec in inputs]}")
    if missing := {PROBABILITIES, ATTENTION} - {spec.name for spec in outputs}:
        raise ValueError(f"a slide head answers {PROBABILITIES} and {ATTENTION}; missing are {sorted(missing)}")
    read = there[EMBEDDINGS].shape
    if len(read) != 2 or not isinstance(read[0], str) or not isinstance(read[1], int):
        raise ValueError(f"{EMBEDDINGS} of a slide head have the shape (T, size), not {read}")
    expected: dict[str, list[int | str]] = {
        POSITIONS: [read[0], COORDINATES], PROBABILITIES: [1, classes], ATTENTION: [read[0]],
    }  # fmt: skip
    for name, shape in expected.items():
        if there[name].shape != shape:
            raise ValueError(f"{name} of a slide head has the shape {shape}, not {there[name].shape}")
    if others := [name for name in (EMBEDDINGS, *expected) if there[name].dtype != "float32"]:
        raise ValueError(f"tensors of a slide head are float32, and {others} are not")


def embedding_size(head: "Model") -> int:
    """How many numbers a slide head reads of a tile."""
    return int(next(spec for spec in head.inputs if spec.name == EMBEDDINGS).shape[1])


def check_encoder(head: "Model", models: "Sequence[Model]") -> None:
    """Raise ``ValueError`` unless the bundle has the tile model that a slide head reads, with embeddings of its size."""
    encoder = next((model for model in models if model.id == head.reads), None)
    if encoder is None or encoder.kind != "tile":
        tiles = sorted(model.id for model in models if model.kind == "tile")
        raise ValueError(
            f"slide head {head.id!r} reads {head.reads!r}, which is no tile model of the bundle; there are {tiles}"
        )
    size = next(spec for spec in encoder.outputs if spec.name == "embedding").shape[1:]
    if size != [embedding_size(head)]:
        raise ValueError(
            f"slide head {head.id!r} reads embeddings of {embedding_size(head)} numbers, and {encoder.id!r} answers {size}"
        )


def require_sound_answers(run: "Callable[[Arrays], Arrays]", golden: "Arrays", name: str) -> None:
    """Ask a slide head about its golden tiles: all of them, the same in another order, and the first alone.

    Parameters
    ----------
    run : inputs -> outputs, by name
    golden : ``embeddings (T, D)``, ``positions (T, 2)`` float32
    name : of the graph, for the error

    Raises
    ------
    BundleError
        Where there are too few golden tiles; where attention is negative or does not sum to 1, or probabilities do not; where
        the order of the tiles changes the answer.
    """
    count = len(golden[EMBEDDINGS])
    if count < GOLDEN_TILES_AT_LEAST:
        raise BundleError(
            f"{name} has too few golden tiles", expected=f"a slide of at least {GOLDEN_TILES_AT_LEAST}", found=f"{count}"
        )
    whole = run(golden)
    turned = run({key: values[::-1].copy() for key, values in golden.items()})
    alone = run({key: values[:1] for key, values in golden.items()})
    for answer, of in ((whole, f"{count} tiles"), (alone, "one tile")):
        require_shares(answer, name, of)
    pairs = (whole[PROBABILITIES], turned[PROBABILITIES]), (whole[ATTENTION], turned[ATTENTION][::-1])
    apart = max(float(np.abs(np.subtract(*map(_single, pair))).max()) for pair in pairs)
    if apart > LARGEST_DIFFERENCE:
        raise BundleError(
            f"{name} answers otherwise when the same tiles come in another order",
            expected="an answer that depends on embeddings and positions alone",
            found=f"a difference of {apart:.3g}",
            action="Let the head know where a tile lies by its position, not by its place in the input.",
        )


def _single(values: NDArray[np.generic]) -> NDArray[np.float32]:
    return np.asarray(values, np.float32)


def require_shares(answer: "Arrays", name: str, of: str) -> None:
    """Raise ``BundleError`` unless attention and probabilities of an answer are shares: none negative, 1 in all."""
    for what in (ATTENTION, PROBABILITIES):
        values = np.asarray(answer[what], np.float64)
        total = float(values.sum())
        # So that a number that is none is refused too.
        if not (values.min(initial=0.0) >= 0 and abs(total - 1) <= LARGEST_DIFFERENCE):
            raise BundleError(
                f"{name} gives a slide of {of} {what} that is no share",
                expected="numbers from 0 on that sum to 1",
                found=f"a sum of {total:.4g}, the least {float(values.min(initial=0.0)):.4g}",
            )
