"""Heads and networks inside exported graphs: read as they are, put back unchanged, changed everywhere they stand."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import softmax

from cervix.bundle import Bundle
from cervix.errors import BundleError

pytestmark = pytest.mark.training
keras = pytest.importorskip("keras", reason="training needs TensorFlow, which the app's environment has not")

from training.history.data import CLASSES  # noqa: E402
from training.history.export import run_graph  # noqa: E402
from training.history.graph import HistoryGraph  # noqa: E402
from training.history.rehearsal import read_history_rehearsal  # noqa: E402
from training.shared.calibrate import CoursePlatt  # noqa: E402
from training.shared.onnx_graphs import run_onnx  # noqa: E402
from training.slide.graph import SlideGraph, batches  # noqa: E402
from training.slide.novelty import doubt, role_signs  # noqa: E402

OUTPUTS = ["probabilities", "embedding", "novelty", "cam"]
# Half precision rounds a probability by less than this.
HALF = 1e-3


@pytest.fixture(scope="module")
def tiles(bundle: Bundle) -> np.ndarray:
    with np.load(bundle.root / "slide/golden.npz") as golden:
        return golden["input:tiles"]


def onnx_bytes(bundle: Bundle, precision: str) -> bytes:
    return (bundle.root / f"slide/{precision}.onnx").read_bytes()


@pytest.mark.parametrize(("precision", "allowed"), [("int8", 1e-6), ("fp16", HALF)])
def test_head_and_features_give_the_probabilities_of_the_graph(
    bundle: Bundle, tiles: np.ndarray, precision: str, allowed: float
) -> None:
    graph = SlideGraph(onnx_bytes(bundle, precision))
    features = graph.features(batches(tiles))
    expected = run_onnx(onnx_bytes(bundle, precision), tiles, ["probabilities"])["probabilities"]
    found = softmax(graph.head.logits(features.embedding, features.texture_logits), axis=1)
    assert np.abs(found - expected).max() < allowed


@pytest.mark.parametrize("precision", ["int8", "fp16"])
def test_the_same_head_put_back_changes_nothing(bundle: Bundle, tiles: np.ndarray, precision: str) -> None:
    before = run_onnx(onnx_bytes(bundle, precision), tiles, OUTPUTS)
    graph = SlideGraph(onnx_bytes(bundle, precision))
    after = run_onnx(graph.with_head(graph.head), tiles, OUTPUTS)
    assert all(np.allclose(before[name], after[name], atol=1e-4) for name in OUTPUTS)


def test_another_head_answers_by_its_own_weights_and_leaves_the_embedding_and_doubts_by_its_own_answers(
    bundle: Bundle, tiles: np.ndarray
) -> None:
    graph = SlideGraph(onnx_bytes(bundle, "int8"))
    rng = np.random.default_rng(0)
    head = replace(
        graph.head,
        logit_kernel=rng.normal(0, 0.1, graph.head.logit_kernel.shape).astype(np.float32),
        hidden_bias=graph.head.hidden_bias + np.float32(0.05),
        network_weight=0.7,
        texture_weight=0.2,
    )
    before, after = (run_onnx(content, tiles, OUTPUTS) for content in (onnx_bytes(bundle, "int8"), graph.with_head(head)))
    features = graph.features(batches(tiles))
    expected = softmax(head.logits(features.embedding, features.texture_logits), axis=1)
    assert np.abs(after["probabilities"] - expected).max() < 1e-6
    assert np.array_equal(before["embedding"], after["embedding"])
    doubts = doubt(after["probabilities"], role_signs(bundle.manifest.first_of("tile").classes))
    np.testing.assert_allclose(after["novelty"], np.maximum(features.distance, graph.doubt_scale * doubts), rtol=1e-4)
    assert not np.array_equal(before["novelty"], after["novelty"]), "some of these answers are in doubt"


@pytest.mark.parametrize("doubled", [("logit_kernel", "logit_bias"), ("hidden_kernel", "hidden_bias")])
def test_grad_cam_is_that_of_the_new_head(bundle: Bundle, tiles: np.ndarray, doubled: tuple[str, str]) -> None:
    graph = SlideGraph(onnx_bytes(bundle, "int8"))
    head = replace(graph.head, **{name: 2 * getattr(graph.head, name) for name in doubled})
    before, after = (
        run_onnx(content, tiles, ["cam"])["cam"] for content in (onnx_bytes(bundle, "int8"), graph.with_head(head))
    )
    assert before.max() > 0
    assert np.allclose(after, 2 * before, rtol=1e-4, atol=1e-6)


def test_a_graph_without_such_a_head_is_refused(bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="not one that can be retrained"):
        SlideGraph((bundle.root / "history/fp32.onnx").read_bytes())
    with pytest.raises(BundleError, match="not one that can be retrained"):
        HistoryGraph(onnx_bytes(bundle, "fp16"))


@pytest.fixture(scope="module")
def history(bundle: Bundle) -> bytes:
    return (bundle.root / "history/fp32.onnx").read_bytes()


def test_networks_read_from_the_graph_have_its_states(bundle: Bundle, history: bytes) -> None:
    data = read_history_rehearsal((bundle.root / "history/rehearsal.npz").read_bytes())
    women = data.women("test")[:40]
    graph = HistoryGraph(history)
    prepared = graph.preparer()(data.histories, women)
    found = []
    for network in graph.networks:
        lstm = keras.layers.LSTM(len(network.recurrent_kernel), return_sequences=True)
        states = lstm(prepared)
        lstm.set_weights(network.weights[:3])
        states = np.asarray(lstm(prepared))
        found.append(states[np.arange(len(women)), data.histories.lengths[women] - 1])
    expected = run_graph(history, data.histories.padded(women))["state"]
    assert np.abs(np.concatenate(found, axis=1) - expected).max() < 1e-5


def test_networks_and_calibration_put_back_answer_as_they_say(bundle: Bundle, history: bytes) -> None:
    data = read_history_rehearsal((bundle.root / "history/rehearsal.npz").read_bytes())
    women = data.histories.padded(data.women("test")[:40])
    graph = HistoryGraph(history)
    own = bundle.manifest.model("history").calibration.parameters
    same = run_graph(graph.with_networks(graph.networks, CoursePlatt(**own), list(CLASSES)), women)
    before = run_graph(history, women)
    assert all(np.allclose(same[name], before[name], atol=1e-6) for name in before)
    silent = [
        replace(network, logit_kernel=0 * network.logit_kernel, logit_bias=0 * network.logit_bias) for network in graph.networks
    ]
    platt = CoursePlatt(1.0, 0.5, 0.25)
    answered = run_graph(graph.with_networks(silent, platt, list(CLASSES)), women)["probabilities"]
    assert np.allclose(answered, softmax(platt.shifts(CLASSES)), atol=1e-6)


def test_a_head_of_another_shape_is_refused(bundle: Bundle) -> None:
    graph = SlideGraph(onnx_bytes(bundle, "int8"))
    with pytest.raises(ValueError, match="its new values"):
        graph.with_head(replace(graph.head, hidden_bias=np.zeros(8, np.float32)))
