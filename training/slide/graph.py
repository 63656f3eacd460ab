"""The head inside an exported slide graph: read out, and replaced with the rest unchanged.

Retraining from labels changes only the head. Blocks 1 to 5, their quantisation and the novelty measure remain as tested, and so
do the embeddings, which the hybrid model reads.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.shared.graph_weights import GraphWeights, another_graph

Floats = NDArray[np.float32]
BATCH = 8


@dataclass(frozen=True)
class SlideHead:
    """The graph after the pooled features: ``softmax(network_weight * head(embedding) + texture_weight * texture path)``.

    Attributes
    ----------
    hidden_kernel, hidden_bias : (512, hidden), (hidden,)
    logit_kernel, logit_bias : (hidden, classes), (classes,)
    network_weight, texture_weight : float
        Calibration, in log odds.
    """

    hidden_kernel: Floats
    hidden_bias: Floats
    logit_kernel: Floats
    logit_bias: Floats
    network_weight: float
    texture_weight: float

    def network_logits(self, embedding: Floats) -> Floats:
        """The head alone: ``(n, 512)`` -> ``(n, classes)``."""
        hidden = np.maximum(embedding @ self.hidden_kernel + self.hidden_bias, 0)
        return np.asarray(hidden @ self.logit_kernel + self.logit_bias, np.float32)

    def logits(self, embedding: Floats, texture_logits: Floats) -> Floats:
        """The weighted sum of both paths ``(n, classes)``; its softmax is the graph's ``probabilities``."""
        return np.asarray(
            self.network_weight * self.network_logits(embedding) + self.texture_weight * texture_logits, np.float32
        )


@dataclass(frozen=True)
class TileFeatures:
    """Pooled features of tiles by one variant.

    Attributes
    ----------
    embedding, texture : (n, 512)
        Means over the maps of block 5 and of block 4.
    texture_logits : (n, classes)
        Logits of the linear path for the texture.
    distance : (n,)
        Of the texture to the nearest type of tissue: novelty without the doubt of an answer.
    """

    embedding: Floats
    texture: Floats
    texture_logits: Floats
    distance: Floats

    def of(self, chosen: NDArray[np.bool_]) -> "TileFeatures":
        """The tiles that are marked."""
        return TileFeatures(*(values[chosen] for values in vars(self).values()))


@dataclass(frozen=True)
class _Linear:
    """``x @ kernel + bias``, with the names of its tensors in the graph."""

    x: str
    kernel: str
    bias: str
    out: str


class SlideGraph:
    """A slide graph and its head, found backwards from the probabilities.

    Parameters
    ----------
    onnx_bytes : bytes
        A variant of a slide model written by ``training.slide.functions``.

    Raises
    ------
    BundleError
        If the graph ends differently.
    """

    def __init__(self, onnx_bytes: bytes) -> None:
        self._graph = GraphWeights(onnx_bytes)
        joined = self._graph.made_by("Softmax", self._behind_cast("probabilities")).input[0]
        paths = []
        for scaled in self._graph.made_by("Add", joined).input:
            logits, weight = self._graph.operands(self._graph.made_by("Mul", scaled))
            paths.append((self._linear(logits), weight))
        on_hidden = [self._graph.operator(path.x) == "Relu" for path, _ in paths]
        if sorted(on_hidden) != [False, True]:
            raise another_graph("a path with a hidden layer and one without")
        self._network, self._network_weight = paths[on_hidden.index(True)]
        self._texture, self._texture_weight = paths[on_hidden.index(False)]
        self._hidden = self._linear(str(self._graph.made_by("Relu", self._network.x).input[0]))
        if self._hidden.x != self._behind_cast("embedding"):
            raise another_graph("a hidden layer on the embedding")

    @property
    def texture_path(self) -> tuple[Floats, Floats]:
        """Kernel ``(512, classes)`` and bias ``(classes,)`` of the linear path for the texture, on the mean of block 4."""
        return self._graph.floats(self._texture.kernel), self._graph.floats(self._texture.bias)

    @property
    def doubt_scale(self) -> float:
        """The novelty that full doubt of the answer counts as; 0 in a graph whose novelty is a distance alone."""
        _, scaled = self._distance_and_doubt()
        return 0.0 if scaled is None else float(self._graph.floats(self._graph.operands(self._graph.made_by("Mul", scaled))[1]))

    @property
    def head(self) -> SlideHead:
        """The head in the graph, in single precision."""
        return SlideHead(
            hidden_kernel=self._graph.floats(self._hidden.kernel),
            hidden_bias=self._graph.floats(self._hidden.bias),
            logit_kernel=self._graph.floats(self._network.kernel),
            logit_bias=self._graph.floats(self._network.bias),
            network_weight=float(self._graph.floats(self._network_weight)),
            texture_weight=float(self._graph.floats(self._texture_weight)),
        )

    def with_head(self, head: SlideHead) -> bytes:
        """The same graph with another head of the same shape, in the precision of the graph.

        Grad-CAM contains transposed copies of the kernels, which are replaced as well.
        """
        new: dict[str, NDArray[np.generic]] = {
            self._hidden.kernel: head.hidden_kernel, self._hidden.bias: head.hidden_bias,
            self._network.kernel: head.logit_kernel, self._network.bias: head.logit_bias,
            self._network_weight: np.asarray(head.network_weight), self._texture_weight: np.asarray(head.texture_weight),
        }  # fmt: skip
        for name in (self._hidden.kernel, self._network.kernel):
            new |= {copy: new[name].T.reshape(self._graph.array(copy).shape) for copy in self._graph.turned_over(name)}
        return self._graph.replaced(new)

    def features(self, tiles: Iterator[NDArray[np.uint8]]) -> TileFeatures:
        """Run blocks 1 to 5 over batches of tiles ``(n, 224, 224, 3)`` and stop before the head."""
        names = ["embedding", self._texture.x, self._texture.out, self._distance_and_doubt()[0]]
        session = self._graph.probe(names)
        parts = [session.run(names, {"tiles": batch}) for batch in tiles]
        return TileFeatures(*(np.concatenate(part).astype(np.float32) for part in zip(*parts, strict=True)))

    def _distance_and_doubt(self) -> tuple[str, str | None]:
        """The two tensors of which novelty is the larger; no doubt in a graph whose novelty is a distance alone."""
        novelty = self._behind_cast("novelty")
        if self._graph.operator(novelty) != "Max":
            return novelty, None
        doubts = [str(name) for name in self._graph.made_by("Max", novelty).input if self._graph.operator(name) == "Mul"]
        distances = [str(name) for name in self._graph.made_by("Max", novelty).input if str(name) not in doubts]
        if len(doubts) != 1 or len(distances) != 1:
            raise another_graph("a distance, and doubt times a constant, before novelty")
        return distances[0], doubts[0]

    def _behind_cast(self, name: str) -> str:
        """The tensor that a half-precision graph casts to this output; otherwise the output itself."""
        return str(self._graph.made_by("Cast", name).input[0]) if self._graph.operator(name) == "Cast" else name

    def _linear(self, name: str) -> _Linear:
        """A dense layer, fused or as product and sum."""
        if self._graph.operator(name) == "Gemm":
            x, kernel, bias = map(str, self._graph.made_by("Gemm", name).input)
            return _Linear(x, kernel, bias, name)
        product, bias = self._graph.operands(self._graph.made_by("Add", name))
        x, kernel = self._graph.operands(self._graph.made_by("MatMul", product))
        return _Linear(x, kernel, bias, name)


def batches(pixels: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    """Tiles ``(n, 224, 224, 3)`` in batches that fit into the memory of a CPU."""
    for start in range(0, len(pixels), BATCH):
        yield pixels[start : start + BATCH]
