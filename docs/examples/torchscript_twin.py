"""The shipped VGG16 as a research group would bring it: plain ``torch.nn``, traced and saved.

``python -m docs.examples.torchscript_twin OUT TILES`` writes the model to OUT with ``config.json`` and ``about.toml``, and
copies some held-out tiles of the shipped model from TILES, with their ``tiles.csv``: whole groups go to validation or test.
It says at the end how far the two are apart on some of these tiles.
Needs ``requirements-torch.txt`` and the training environment.
"""

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import torch
from onnx import numpy_helper
from PIL import Image
from torch import nn

from cervix.bundle.loading import read_manifest
from cervix.bundle.sessions import CPU_PROVIDER, open_session
from training.slide.graph import SlideGraph

BUNDLE = Path(__file__).parents[2] / "bundle"
MEANS = [123.68, 116.779, 103.939]
"""Of ImageNet, in RGB, 0 to 255; Keras' VGG16 reads BGR less these, at that scale."""
BLOCKS = [(64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512)]
TILES_A_SPLIT = 40
"""Of each class, at most: single precision on a processor takes a third of a second a tile."""
TILES_HELD_AGAINST = 10
"""Of each class."""
CLASSES = {"benign": "Benign", "scc": "Squamous-cell carcinoma", "ac": "Adenocarcinoma", "other": "Other tissue"}
SHORT = {"benign": "Benign", "scc": "SCC", "ac": "AC", "other": "Other"}
ABOUT = """kind = "tile"
name = "torchscript-twin"
version = "1.0.0"
{classes}
[model]
id = "slide-twin"
title = "Twin of VGG16 in PyTorch"
short = "PyTorch twin"
task = "Names the tissue on a tile of 224 px"
outcome = "Class of the tile by its source"
architecture = "VGG16 in torch.nn with the weights of the shipped bundle"
intended_use = ["Showing how a TorchScript is brought."]
limits = ["It is the shipped model again and knows no more than that."]
known_failures = ["Those of the shipped model."]
[input]
spacing_source = "That of the shipped model"
[output]
activation = "none (logits)"
[[trained_on]]
{data}organs = {organs}
[held_out]
{data}
[card]
developer = "Cervix Workbench"
contact = "Not reported"
licence_id = "apache-2.0"
keywords = ["example"]
intended_users = "Whoever reads the page on bringing a model"
how_to_use = "As that page says"
population = "None"
out_of_scope = "Every patient"
biases_and_ethics = "Those of the shipped model"
clinical_risk_level = "None: no patient"
[[licences]]
part = "Weights"
licence = "As in the card of the shipped bundle"
[[citations]]
key = "vgg16-2015"
kind = "misc"
author = "Simonyan, K. and Zisserman, A."
title = "Very deep convolutional networks for large-scale image recognition"
year = 2015
published_in = "ICLR, arXiv:1409.1556"
used_for = "Architecture"
"""
CLASS = '[[classes]]\nid = "{id}"\ntitle = "{title}"\nshort = "{short}"\ncolour = "{colour}"\nrole = "{role}"\n'
DATA = """name = "Held-out tiles of the shipped model"
licence = "As in the card of the shipped bundle"
citation = "As in the card of the shipped bundle"
nature = "real"
note = "Not learned from by the shipped model."
grouped_by = "source image or patient"
"""


class Twin(nn.Module):
    """Blocks 1 to 5; means of blocks 4 and 5 side by side; both paths of the head as one pair of dense layers."""

    def __init__(self, classes: int, hidden: int) -> None:
        super().__init__()
        sizes = [3] + [block[-1] for block in BLOCKS]
        self.blocks = nn.ModuleList(nn.Sequential(*_block(at, block)) for at, block in zip(sizes, BLOCKS, strict=False))
        self.halve, self.average = nn.MaxPool2d(2), nn.AvgPool2d(2)
        # A linear path is the difference of two rectified ones.
        self.head = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1024, hidden + 2 * classes), nn.ReLU(),
            nn.Linear(hidden + 2 * classes, classes),
        )  # fmt: skip

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Logits ``(N, classes)`` of ``(N, 3, 224, 224)``, RGB from 0 to 1."""
        # ImageNet's means as Normalize takes them off, back to the scale and order that Keras' VGG16 learned in.
        x = (pixels * 255).flip(1)
        for block in self.blocks[:4]:
            x = self.halve(block(x))
        return self.head(torch.cat([self.halve(self.blocks[4](x)), self.average(x)], dim=1))


def _block(inputs: int, outputs: tuple[int, ...]) -> Iterator[nn.Module]:
    for size in outputs:
        yield from (nn.Conv2d(inputs, size, 3, padding=1), nn.ReLU())
        inputs = size


def twin() -> Twin:
    """The network with the weights inside the shipped half-precision graph."""
    content = (BUNDLE / "slide/fp16.onnx").read_bytes()
    graph = onnx.load_model_from_string(content).graph
    weights = {tensor.name: numpy_helper.to_array(tensor).astype(np.float32) for tensor in graph.initializer}
    shipped = SlideGraph(content)
    head, (texture, texture_bias) = shipped.head, shipped.texture_path
    hidden, classes = head.logit_kernel.shape
    network = Twin(classes, hidden).eval()
    convolutions = [part for part in network.modules() if isinstance(part, nn.Conv2d)]
    nodes = [node for node in graph.node if node.op_type == "Conv"]
    first, second = network.head[2], network.head[4]
    with torch.no_grad():
        for part, node in zip(convolutions, nodes, strict=True):
            part.weight.copy_(torch.from_numpy(weights[node.input[1]]))
            part.bias.copy_(torch.from_numpy(weights[node.input[2]]))
        first.weight.zero_()
        first.weight[:hidden, :512] = torch.from_numpy(head.hidden_kernel.T.copy())
        first.weight[hidden:, 512:] = torch.from_numpy(np.concatenate([texture, -texture], axis=1).T.copy())
        first.bias.copy_(torch.from_numpy(np.concatenate([head.hidden_bias, texture_bias, -texture_bias])))
        apart = head.texture_weight * np.eye(classes, dtype=np.float32)
        logits = np.concatenate([head.network_weight * head.logit_kernel, apart, -apart])
        second.weight.copy_(torch.from_numpy(logits.T.copy()))
        second.bias.copy_(torch.from_numpy(head.network_weight * head.logit_bias))
    return network


def write_model(out: Path, network: Twin) -> None:
    """``torchscript_model.pt``, ``config.json`` and ``about.toml``."""
    traced = torch.jit.trace(network, torch.rand(2, 3, 224, 224))
    torch.jit.save(traced, out / "torchscript_model.pt")
    normalise = {"name": "Normalize", "arguments": {"mean": [mean / 255 for mean in MEANS], "std": [1.0, 1.0, 1.0]}}
    config = {"class_names": list(CLASSES), "patch_size_pixels": 224, "spacing_um_px": 0.5,
              "transform": [{"name": "ToTensor"}, normalise]}  # fmt: skip
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    colours, roles = ("#0072B2", "#D55E00", "#CC79A7", "#009E73"), ("benign", "malignant", "malignant", "other")
    classes = "".join(
        CLASS.format(id=label, title=title, short=SHORT[label], colour=colour, role=role)
        for (label, title), colour, role in zip(CLASSES.items(), colours, roles, strict=True)
    )
    # Of the shipped model: where the cervix is not among them, every answer says so.
    organs = json.dumps(read_manifest(BUNDLE)[0].first_of("tile").organs)
    (out / "about.toml").write_text(ABOUT.format(classes=classes, data=DATA, organs=organs), encoding="utf-8")


def write_tiles(out: Path, tiles: Path) -> None:
    """``tiles.csv``: of the shipped model's held-out tiles some of each class, every other group to test."""
    held_out = pd.read_parquet(BUNDLE / "slide/predictions.parquet")[["case", "label", "group"]]
    held_out = held_out[[(tiles / case).is_file() for case in held_out["case"]]]
    held_out = held_out.assign(split=np.where(pd.factorize(held_out["group"])[0] % 2, "test", "validation"))
    held_out = held_out.sample(frac=1, random_state=0).groupby(["label", "split"]).head(TILES_A_SPLIT)
    for case in held_out["case"]:
        (out / case).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(tiles / case, out / case)
    table = held_out.rename(columns={"case": "path"})[["path", "label", "group", "split"]].sort_values("path")
    table.to_csv(out / "tiles.csv", index=False)


def largest_differences(out: Path, network: Twin) -> dict[str, float]:
    """The largest difference of a probability between the twin and each shipped graph, on some of the tiles in ``out``."""
    table = pd.read_csv(out / "tiles.csv").groupby("label").head(TILES_HELD_AGAINST)
    tiles = np.stack([np.asarray(Image.open(out / path).convert("RGB")) for path in table["path"]])
    # As config.json has it: 0 to 1, channels first, less the means.
    pixels = (tiles - np.array(MEANS)).astype(np.float32).transpose(0, 3, 1, 2) / 255
    with torch.no_grad():
        told = torch.softmax(network(torch.from_numpy(np.ascontiguousarray(pixels))), dim=1).numpy()
    far = {}
    for precision in ("fp16", "int8"):
        shipped = open_session((BUNDLE / f"slide/{precision}.onnx").read_bytes(), CPU_PROVIDER)
        far[f"{precision}, {len(tiles)} tiles"] = float(
            np.abs(shipped.run(["probabilities"], {"tiles": tiles})[0] - told).max()
        )
    return far


if __name__ == "__main__":
    place = Path(sys.argv[1])
    place.mkdir(parents=True, exist_ok=True)
    made = twin()
    write_model(place, made)
    write_tiles(place, Path(sys.argv[2]))
    for shipped_as, apart in largest_differences(place, made).items():
        sys.stdout.write(f"Largest difference of a probability from the shipped model as {shipped_as}: {apart:.4f}\n")
