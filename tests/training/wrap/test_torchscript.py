"""TorchScript with its ``config.json``: read in a confined process, and what such a file may not do."""

import json
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cervix.bundle.sessions import CPU_PROVIDER, open_session
from cervix.errors import LostApart
from cervix.sources.apart import Limits, run_apart
from tests.bundle.made import FOUR
from tests.training.wrap.made import SIZE_PX, about, kernels, write_about, write_tiles
from training.wrap.about import AboutModel, read_about
from training.wrap.graph import raw_graph, resize_weights
from training.wrap.loading import load_model
from training.wrap.refusal import WrapRefused
from training.wrap.tile_model import read_network, wrap_tile_model

TILE_PX = 48
"""On the slide; the network reads ``SIZE_PX``."""
MEAN, STD = [0.5, 0.4, 0.6], [0.2, 0.25, 0.3]
CONFIG = {
    "spec_version": "1.0",
    "class_names": ["normal", "Dysplasia", "InvS", "invasive_glandular"],
    "patch_size_pixels": TILE_PX,
    "spacing_um_px": 0.25,
    "transform": [
        {"name": "Resize", "arguments": {"size": SIZE_PX}},
        {"name": "ToTensor"},
        {"name": "Normalize", "arguments": {"mean": MEAN, "std": STD}},
    ],
}
SHORT = {"layout", "channels", "size_px", "spacing_um_px", "spacing_source", "transforms"}


def write_config(folder: Path, **changes: Any) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps(CONFIG | changes))
    return path


def described(folder: Path, **own: Any) -> AboutModel:
    """What ``about.toml`` and ``config.json`` say together, where the first says of its input only this."""
    return read_about(write_about(folder / "about.toml", about() | {"input": own}), folder / "config.json")


# What config.json says


def test_what_the_config_says_need_not_be_said_again(tmp_path: Path) -> None:
    write_config(tmp_path)
    pixels = described(tmp_path).input
    assert (pixels.layout, pixels.size_px, pixels.network_px, pixels.spacing_um_px) == ("NCHW", TILE_PX, SIZE_PX, 0.25)
    assert [(step.operation, step.numbers) for step in pixels.transforms] == [
        ("divide", [255.0]), ("subtract", MEAN), ("divide", STD),
    ]  # fmt: skip
    assert described(tmp_path, spacing_source="measured").input.spacing_source == "measured"


@pytest.mark.parametrize(
    ("changes", "own", "sentence"),
    [
        ({}, {"size_px": 64}, r"disagree: expected input\.size_px = 48, as config\.json says; found 64"),
        ({"class_names": ["tumor", "normal"]}, {}, "not those of config.json: expected in this order: tumor, normal"),
        ({"transform": [{"name": "ColorJitter"}]}, {}, "does not say how a tile is read.*Resize.*ToTensor.*Normalize"),
        ({"transform": [{"name": "Resize", "arguments": {"size": 9, "interpolation": "nearest"}}]}, {}, "interpolation: Extra"),
        ({"spacing_um_px": 0}, {}, "spacing_um_px: Input should be greater than 0"),
    ],
)
def test_a_config_that_does_not_fit(tmp_path: Path, changes: dict[str, Any], own: dict[str, Any], sentence: str) -> None:
    write_config(tmp_path, **changes)
    with pytest.raises(WrapRefused, match=sentence):
        described(tmp_path, **own)


def test_resizing_is_that_of_pillow(tmp_path: Path) -> None:  # noqa: ARG001
    rng = np.random.default_rng(0)
    for before, after in ((48, 32), (32, 48), (350, 224)):
        picture = Image.fromarray(rng.normal(size=(before, before)).astype(np.float32))
        weights = resize_weights(before, after)
        told = weights @ np.asarray(picture, np.float64) @ weights.T
        np.testing.assert_allclose(told, np.asarray(picture.resize((after, after), Image.Resampling.BILINEAR)), atol=1e-5)


# What a file is refused for, without PyTorch


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no archive", b"\x80\x02}q\x00."])
def test_what_is_no_archive_is_told_so(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.pt").write_bytes(content)
    with pytest.raises(WrapRefused, match="is no TorchScript"):
        load_model(tmp_path / "model.pt", AboutModel.model_validate(about()).input)


# What the process may


def test_a_confined_process_writes_in_its_folder_alone_starts_nothing_and_reaches_nobody(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    arguments = {"folder": str(tmp_path / "own"), "outside": str(tmp_path / "outside")}
    told = run_apart("tests.training.wrap.confined_probe:tried", arguments, Limits(seconds=60), subject="file")
    if told["missing"]:
        pytest.skip(f"this system lacks means, and says so: {told['missing']}")
    assert told["write inside"] == "done"
    assert told["write outside"] == told["program"] == "PermissionError"
    assert told["network"] in ("OSError", "PermissionError")
    assert not (tmp_path / "outside").exists()


# With PyTorch


def script_of(folder: Path, module: Any, name: str = "torchscript_model.pt") -> Path:
    torch = pytest.importorskip("torch", reason="needs requirements-torch.txt")
    torch.jit.script(module).save(str(folder / name))
    return folder / name


def small_network() -> Any:
    """The colours' model of the other tests in PyTorch: it reads what Normalize makes of a tile."""
    torch = pytest.importorskip("torch", reason="needs requirements-torch.txt")
    nn = torch.nn
    kernel, bias = kernels(FOUR)
    network = nn.Sequential(
        nn.Conv2d(3, len(kernel), 3, padding=1, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(len(kernel), len(FOUR)),
    ).eval()  # fmt: skip
    with torch.no_grad():
        network[0].weight.zero_()
        network[0].bias.zero_()
        for channel in range(3):
            network[0].weight[channel, channel, 1, 1] = STD[channel]
            network[0].bias[channel] = MEAN[channel]
        network[4].weight.copy_(torch.from_numpy(kernel.T))
        network[4].bias.copy_(torch.from_numpy(bias))
    return network


@pytest.fixture(scope="module")
def brought(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("torch")
    script_of(folder, small_network())
    write_config(folder)
    return folder


@pytest.mark.training
def test_the_graph_answers_what_the_torchscript_answers(brought: Path) -> None:
    torch = pytest.importorskip("torch", reason="needs requirements-torch.txt")
    said = described(brought)
    told: list[str] = []
    network = read_network(brought / "torchscript_model.pt", said, told.append)
    assert told == []
    tile = np.random.default_rng(1).integers(0, 256, (TILE_PX, TILE_PX, 3), np.uint8)
    session = open_session(
        raw_graph(network.graph, said.input, {"answer": network.head.logits}).SerializeToString(), CPU_PROVIDER
    )
    (answer,) = session.run(["answer"], {"tiles": tile[None]})
    resized = np.asarray(Image.fromarray(tile).resize((SIZE_PX, SIZE_PX), Image.Resampling.BILINEAR), np.float32) / 255
    pixels = ((resized - MEAN) / STD).transpose(2, 0, 1)[None].astype(np.float32)
    with torch.no_grad():
        expected = torch.jit.load(str(brought / "torchscript_model.pt"))(torch.from_numpy(pixels)).numpy()
    np.testing.assert_allclose(
        answer, expected, atol=0.3
    )  # Pillow rounds to whole numbers in between; logits are some 100 wide
    assert answer.argmax() == expected.argmax()


@pytest.mark.training
def test_it_is_wrapped_like_any_other(brought: Path, tmp_path: Path) -> None:
    write_tiles(brought / "tiles", size_px=TILE_PX)
    path = write_about(brought / "about.toml", about() | {"input": {}})
    script, listed = brought / "torchscript_model.pt", brought / "tiles/tiles.csv"
    manifest = wrap_tile_model(script, path, listed, tmp_path / "bundle", lambda _: None)
    model = manifest.first_of("tile")
    assert model.tiles is not None
    assert (model.tiles.size_px, model.tiles.spacing_um_px) == (TILE_PX, 0.25)
    assert model.tiles.steps_in_graph[0] == f"resize to {SIZE_PX} px, bilinear"


def loaded_with(folder: Path, act: str) -> Path:
    """A file that does something as soon as it is loaded: its code is changed after it was saved, as a stranger may."""
    torch = pytest.importorskip("torch", reason="needs requirements-torch.txt")

    class Acting(torch.nn.Module):  # type: ignore[misc, name-defined] # torch is not typed here
        def forward(self, x: torch.Tensor) -> torch.Tensor:  # type: ignore[name-defined]
            return x

        @torch.jit.export
        def __getstate__(self):  # type: ignore[no-untyped-def]
            # type: () -> bool
            return self.training

        @torch.jit.export
        def __setstate__(self, state):  # type: ignore[no-untyped-def]
            # type: (bool) -> None
            self.training = state

    saved, changed = script_of(folder, Acting(), "saved.pt"), folder / "changed.pt"
    with zipfile.ZipFile(saved) as before, zipfile.ZipFile(changed, "w") as after:
        for file in before.infolist():
            content = before.read(file)
            if file.filename.endswith(".py"):
                content = content.replace(b"self.training = state\n", b"self.training = state\n" + act.encode())
                assert act.encode() in content
            after.writestr(file, content)
    return changed


SPINNING = "    c = 0\n    while torch.ge(c, 0):\n        c = torch.remainder(torch.add(c, 1), 1000)\n"
FILLING = "    x = torch.ones([1099511627776])\n    self.training = bool(torch.gt(torch.sum(x), 0))\n"
"""What nobody reads is left out before anything is run."""


@pytest.mark.training
def test_a_file_that_writes_as_it_is_loaded_is_refused_before_pytorch_sees_it(tmp_path: Path) -> None:
    script = loaded_with(tmp_path, f'    torch.save(torch.ones([1]), "{tmp_path / "was-here"}")\n')
    with pytest.raises(WrapRefused, match=r"reads or writes files, which is not run.*found torch\.save"):
        load_model(script, AboutModel.model_validate(about()).input)
    assert not (tmp_path / "was-here").exists()


@pytest.mark.slow
@pytest.mark.training
def test_even_where_it_is_not_found_out_it_writes_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch", reason="needs requirements-torch.txt")
    mark = tmp_path / "was-here"
    script = loaded_with(tmp_path, f'    torch.save(torch.ones([1]), "{mark}")\n')
    torch.jit.load(str(script))
    assert mark.exists(), "whoever loads it as it is runs it"
    mark.unlink()
    monkeypatch.setattr("training.wrap.loading.look_through", lambda _: None)
    told: list[str] = []
    with suppress(WrapRefused, LostApart):
        load_model(script, AboutModel.model_validate(about()).input, told.append)
    assert told or not mark.exists(), "where this system cannot keep it from that, it is said"


@pytest.mark.slow
@pytest.mark.training
@pytest.mark.parametrize(("act", "lost"), [(SPINNING, LostApart), (FILLING, (LostApart, WrapRefused))])
def test_a_file_that_hangs_or_fills_the_memory_costs_its_own_process_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, act: str, lost: Any
) -> None:
    monkeypatch.setattr("training.wrap.loading.TORCH_LIMITS", Limits(memory_bytes=8 << 30, seconds=20.0))
    with pytest.raises(lost):
        load_model(loaded_with(tmp_path, act), AboutModel.model_validate(about()).input)
