"""What stands around a network leaves its answers as they were: pixels come as it wants them, and Grad-CAM is its gradient."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx.utils import Extractor
from scipy.special import softmax

from cervix.bundle.operators import check_operators
from cervix.bundle.sessions import CPU_PROVIDER, open_session
from tests.bundle.made import FOUR, class_of
from tests.bundle.made.tiles import centres_rgb, tissue_of
from tests.training.wrap.made import SIZE_PX, about, write_model
from training.slide.novelty import fit_novelty
from training.wrap.about import AboutModel
from training.wrap.graph import Fits, answers, wrapped_graph
from training.wrap.tile_model import read_network

TILES = np.stack([tissue_of(centre, SIZE_PX, SIZE_PX, seed=5) for centre in centres_rgb(FOUR)])
WEIGHT = 0.4
SMALL_PX = 8
"""Of tiles whose map can be flattened without thousands of features."""


def own_answers(path: Path, pictures: NDArray[np.generic]) -> NDArray[np.float32]:
    """What the network says by itself of pictures as it takes them."""
    session = open_session(path.read_bytes(), CPU_PROVIDER)
    (told,) = session.run([session.get_outputs()[0].name], {"pixels": pictures})
    return np.asarray(told, np.float32)


def wrapped_answers(path: Path, tiles: NDArray[np.uint8] = TILES, **said: Any) -> tuple[dict[str, NDArray[np.float32]], Fits]:
    """All outputs of the wrapped graph for tiles, with a weight and a novelty that nobody fitted."""
    described = AboutModel.model_validate(about(**said))
    network = read_network(path, described)
    features = network.reader.shape(network.embedding)[1] or 0
    drawn = np.random.default_rng(0).normal(size=(60, features)).astype(np.float32)
    fits = Fits(WEIGHT, fit_novelty(drawn, np.arange(60) % 3, 3))
    columns = len(described.classes) if network.reader.shape(network.head.logits)[1] != 1 else 1
    outputs = answers(network.head, len(described.classes), features)
    graph = wrapped_graph(
        network.graph, described.input, network.reader, network.head, network.embedding, columns, fits, outputs
    )
    check_operators(graph, "wrapped")
    onnx.checker.check_model(graph, full_check=True)
    session = open_session(graph.SerializeToString(), CPU_PROVIDER)
    names = [output.name for output in outputs]
    return dict(zip(names, session.run(names, {"tiles": tiles}), strict=True)), fits


def channels_first(tiles: NDArray[np.floating]) -> NDArray[np.float32]:
    return np.ascontiguousarray(tiles.transpose(0, 3, 1, 2), np.float32)


def test_pixels_arrive_as_the_transforms_say_in_the_models_order_of_channels(tmp_path: Path) -> None:
    path = write_model(tmp_path / "model.onnx")
    mean, spread = np.array([0.4, 0.5, 0.6]), np.array([0.2, 0.25, 0.3])
    transforms = [{"divide": 255}, {"subtract": mean.tolist()}, {"divide": spread.tolist()}]
    told, _ = wrapped_answers(path, input__channels="BGR", input__transforms=transforms)
    seen = channels_first((TILES[..., ::-1] / 255 - mean) / spread)
    np.testing.assert_allclose(told["probabilities"], softmax(WEIGHT * own_answers(path, seen), axis=1), atol=2e-4)


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("a softmax at its end", {"last": "Softmax"}),
        ("log-probabilities", {"last": "LogSoftmax"}),
        ("operators of 2018", {"opset": 9}),
        ("half precision", {"dtype": np.float16}),
        ("any size", {"declared_px": None}),
        ("one tile at once", {"tiles": 1}),
    ],
)
def test_a_model_answers_the_same_whatever_form_it_comes_in(tmp_path: Path, name: str, how: Mapping[str, Any]) -> None:
    plain = write_model(tmp_path / "plain.onnx")
    path = write_model(tmp_path / "model.onnx", **how)
    activation = "softmax" if how.get("last") == "Softmax" else "none (logits)"
    told, _ = wrapped_answers(path, output__activation=activation)
    expected = softmax(WEIGHT * own_answers(plain, channels_first(TILES / 255)), axis=1)
    np.testing.assert_allclose(told["probabilities"], expected, atol=0.05 if "half" in name else 1e-4)


def test_one_sigmoid_answers_for_two_classes(tmp_path: Path) -> None:
    two = [class_of("benign"), class_of("cancer", colour="#D55E00", role="malignant")]
    path = write_model(tmp_path / "model.onnx", FOUR[:1], last="Sigmoid")
    told, _ = wrapped_answers(path, classes=[item.model_dump() for item in two], output__activation="sigmoid")
    logits = own_answers(write_model(tmp_path / "plain.onnx", FOUR[:1]), channels_first(TILES / 255))
    np.testing.assert_allclose(told["probabilities"][:, 1], 1 / (1 + np.exp(-WEIGHT * logits[:, 0])), atol=1e-5)


def test_novelty_is_the_distance_of_the_embedding(tmp_path: Path) -> None:
    told, fits = wrapped_answers(write_model(tmp_path / "model.onnx"))
    np.testing.assert_allclose(told["novelty"], fits.novelty.distances(told["embedding"]), rtol=1e-4)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("hidden", [False, True])
def test_grad_cam_is_the_gradient_of_each_logit_on_the_last_map(
    tmp_path: Path, channels_last: bool, flat: bool, hidden: bool
) -> None:
    path = write_model(
        tmp_path / "model.onnx", size_px=SMALL_PX, declared_px=SMALL_PX, channels_last=channels_last, flat=flat, hidden=hidden
    )
    small = TILES[:, :SMALL_PX, :SMALL_PX]
    told, _ = wrapped_answers(path, small, input__size_px=SMALL_PX)
    model = onnx.shape_inference.infer_shapes(onnx.load(path))
    features = own_features(model, channels_first(small / 255))
    after = open_session(Extractor(model).extract_model(["features"], ["logits"]).SerializeToString(), CPU_PROVIDER)
    # Through gates so small a step that none closes; without them the logits are large, and so is what is rounded off.
    step, places = 2e-4 if hidden else 0.02, features.shape[2] * features.shape[3]
    weights = np.empty((len(TILES), len(FOUR), features.shape[1]))
    for channel in range(features.shape[1]):
        moved = [features.copy(), features.copy()]
        moved[0][:, channel] -= step
        moved[1][:, channel] += step
        low, high = (after.run(["logits"], {"features": one})[0] for one in moved)
        # All places moved at once: the sum of the gradient over the map.
        weights[:, :, channel] = (high - low) / (2 * step) / places
    expected = np.maximum(np.einsum("nck,nkhw->nchw", weights, features), 0)
    assert expected.max() > 0
    np.testing.assert_allclose(told["cam"], expected, atol=0.02 * expected.max())


def own_features(model: onnx.ModelProto, pictures: NDArray[np.float32]) -> NDArray[np.float32]:
    before = Extractor(model).extract_model(["pixels"], ["features"]).SerializeToString()
    return np.asarray(open_session(before, CPU_PROVIDER).run(["features"], {"pixels": pictures})[0])
