"""The networks inside an exported history graph: read out, and put back with the rest unchanged.

The graph itself prepares the visits (imputation, scaling, gaps, steps). A network fitted on visits prepared by this module
therefore reads exactly what it will read in the graph.
"""

from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from cervix.patients.sequences import Histories
from training.shared.calibrate import CoursePlatt
from training.shared.graph_weights import GraphWeights, another_graph

Floats = NDArray[np.float32]
GATES_OF_KERAS = (0, 2, 3, 1)
"""Position in ONNX (input, output, forget, cell) of each Keras gate (input, forget, cell, output)."""
GATES_OF_ONNX = (0, 3, 1, 2)


@dataclass(frozen=True)
class HistoryNetwork:
    """One LSTM of the ensemble and its last layer, in the layout of Keras.

    Attributes
    ----------
    kernel, recurrent_kernel, bias : (inputs, 4 units), (units, 4 units), (4 units,)
        Gates in the order input, forget, cell, output.
    logit_kernel, logit_bias : (units, classes), (classes,)
    """

    kernel: Floats
    recurrent_kernel: Floats
    bias: Floats
    logit_kernel: Floats
    logit_bias: Floats

    @property
    def weights(self) -> list[Floats]:
        """The weights in the order of Keras' ``get_weights``."""
        return [self.kernel, self.recurrent_kernel, self.bias, self.logit_kernel, self.logit_bias]


@dataclass(frozen=True)
class _Member:
    """Names of the constants of one network."""

    kernel: str
    recurrent_kernel: str
    bias: str
    logit_kernel: str
    logit_bias: str


class HistoryGraph:
    """A history graph and its networks.

    Raises ``BundleError`` if the graph was not written by ``training.history.export``.
    """

    def __init__(self, onnx_bytes: bytes) -> None:
        self._graph = GraphWeights(onnx_bytes)
        lstms = {str(node.output[0]): node for node in self._graph.nodes if node.op_type == "LSTM"}
        prepared = {str(node.input[0]) for node in lstms.values()}
        if len(prepared) != 1:
            raise another_graph("networks that read the same prepared visits")
        self._prepared = prepared.pop()
        ends = self._ends(lstms)
        # In the order in which the graph joins their states: that of the ensemble.
        states = [self._origin(str(name), lstms) for name in self._graph.made_by("Concat", "state").input]
        self._members = [_Member(*map(str, (*lstms[out].input[1:4], *ends[out]))) for out in states]
        shifted = self._graph.made_by("Softmax", str(self._graph.made_by("GatherND", "probabilities").input[0])).input[0]
        scaled, self._shifts = self._graph.operands(self._graph.made_by("Add", str(shifted)))
        self._slope = self._graph.operands(self._graph.made_by("Mul", scaled))[1]

    @property
    def networks(self) -> list[HistoryNetwork]:
        """The ensemble in the graph."""
        networks = []
        for member in self._members:
            bias = self._graph.floats(member.bias)[0]
            units = len(bias) // 8
            # ONNX has two biases, of the input and of the state, which are added.
            summed = bias[: 4 * units] + bias[4 * units :]
            networks.append(
                HistoryNetwork(
                    _gates(self._graph.floats(member.kernel)[0], GATES_OF_KERAS).T.copy(),
                    _gates(self._graph.floats(member.recurrent_kernel)[0], GATES_OF_KERAS).T.copy(),
                    _gates(summed, GATES_OF_KERAS),
                    self._graph.floats(member.logit_kernel),
                    self._graph.floats(member.logit_bias),
                )
            )
        return networks

    def with_networks(self, networks: list[HistoryNetwork], platt: CoursePlatt, classes: list[str]) -> bytes:
        """The same graph with other networks of the same shape and another calibration."""
        new: dict[str, NDArray[np.generic]] = {
            self._slope: np.asarray(platt.slope, np.float32),
            self._shifts: platt.shifts(classes).astype(np.float32),
        }
        for member, network in zip(self._members, networks, strict=True):
            bias = _gates(network.bias, GATES_OF_ONNX)
            new |= {
                member.kernel: _gates(network.kernel.T, GATES_OF_ONNX)[None],
                member.recurrent_kernel: _gates(network.recurrent_kernel.T, GATES_OF_ONNX)[None],
                member.bias: np.concatenate([bias, np.zeros_like(bias)])[None],
                member.logit_kernel: network.logit_kernel,
                member.logit_bias: network.logit_bias,
            }
        return self._graph.replaced(new)

    def preparer(self) -> "Preparer":
        """The part of the graph before the networks, in an open session."""
        return Preparer(self._graph, self._prepared)

    def _origin(self, name: str, lstms: dict[str, onnx.NodeProto]) -> str:
        """The LSTM output from which a tensor was only selected, transposed or reshaped."""
        while name not in lstms:
            operator = self._graph.operator(name)
            if operator not in ("GatherND", "Transpose", "Squeeze", "Reshape"):
                raise another_graph("states of an LSTM")
            name = str(self._graph.made_by(operator, name).input[0])
        return name

    def _ends(self, lstms: dict[str, onnx.NodeProto]) -> dict[str, tuple[str, str]]:
        """LSTM output -> kernel and bias of the last layer after it."""
        ends = {}
        for node in self._graph.nodes:
            if node.op_type != "LogSoftmax":
                continue
            product, bias = self._graph.operands(self._graph.made_by("Add", str(node.input[0])))
            inside = str(self._graph.made_by("Reshape", product).input[0])
            states, kernel = self._graph.operands(self._graph.made_by("MatMul", inside))
            ends[self._origin(states, lstms)] = (kernel, bias)
        if set(ends) != set(lstms):
            raise another_graph("a last layer behind every LSTM")
        return ends


class Preparer:
    """The part of a history graph before the networks."""

    def __init__(self, graph: GraphWeights, tensor: str) -> None:
        self._session = graph.probe([tensor])
        self._tensor = tensor
        self._inputs = {item.name for item in self._session.get_inputs()}

    def __call__(self, histories: Histories, women: NDArray[np.int64]) -> Floats:
        """Inputs of the networks for these women, padded on the right: ``(n, V, inputs)``."""
        arrays = {name: values for name, values in histories.padded(women).items() if name in self._inputs}
        by_visit = self._session.run([self._tensor], arrays)[0]
        return np.ascontiguousarray(by_visit.transpose(1, 0, 2))


def _gates(values: Floats, order: tuple[int, ...]) -> Floats:
    """The four blocks along the first axis in another order."""
    blocks = np.split(values, 4)
    return np.concatenate([blocks[index] for index in order])
