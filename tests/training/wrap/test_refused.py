"""What is not made into a bundle: each model, description and list of tiles that would mislead, with the reason."""

import codecs
import json
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import TensorProto, helper
from PIL import Image

from tests.bundle.made import FOUR, class_of
from tests.training.wrap.made import SIZE_PX, about, write_about, write_model, write_tiles
from training.cli import main
from training.data.splits import LeakError
from training.wrap.about import AboutModel, AnswerOut, read_about
from training.wrap.activation import check_answers
from training.wrap.keras_file import write_onnx
from training.wrap.loading import FILE_BYTES_AT_MOST
from training.wrap.refusal import WrapRefused
from training.wrap.tile_model import fit, read_network
from training.wrap.tiles import HeldOutTiles, read_tiles

FOLDS = {"novelty": {"folds": 5}}
CUSTOM = helper.make_node("Gelu", ["logits"], ["answer"], domain="com.microsoft")
ONE_TILE = (
    helper.make_node("Constant", [], ["one-row"], value=helper.make_tensor("one-row", TensorProto.INT64, [2], [1, 4])),
    helper.make_node("Reshape", ["logits", "one-row"], ["answer"]),
)
"""For one tile at once, in a way that nobody can take back."""
TWO_SOFTMAXES = (
    helper.make_node("Softmax", ["logits"], ["once"], axis=1),
    helper.make_node("Softmax", ["once"], ["answer"], axis=1),
)
COLOURS = (
    "#000070", "#0000FF", "#007000", "#007070", "#0070C0", "#00C000", "#00C0C0", "#00C0FF", "#00FF00", "#00FFC0",
    "#00FFFF", "#700000", "#700070", "#707000", "#7070C0", "#C00000", "#C00070", "#C000C0", "#C07000",
)  # fmt: skip
"""Nineteen that can be told apart."""


def pictures(groups: int = 6, classes: int = 4, size_px: int = SIZE_PX) -> HeldOutTiles:
    """Noise with labels, where nothing but shapes counts."""
    rng = np.random.default_rng(0)
    names = [item.id for item in FOUR] if classes == len(FOUR) else [f"class-{at}" for at in range(classes)]
    labels = np.repeat(names, groups)
    numbers = np.arange(len(labels)).astype(str)
    pixels = rng.integers(0, 255, (len(labels), size_px, size_px, 3), np.uint8)
    return HeldOutTiles(pixels, labels, numbers, np.full(len(labels), "validation"), np.full(len(labels), "one"), numbers)


def read(path: Path, **said: Any) -> None:
    read_network(path, AboutModel.model_validate(about(**said)))


@pytest.mark.parametrize(
    ("model", "said", "sentence"),
    [
        ({"extra": [CUSTOM], "outputs": ["answer"]}, {}, r"operator that is not allowed.*found com\.microsoft\.Gelu"),
        ({"channels": 4}, {}, r"expected NCHW of 3 × 32 × 32.*found 4 × 32 × 32.*Three channels"),
        ({}, {"input__layout": "NHWC"}, r"expected NHWC of 32 × 32 × 3.*found 3 × 32 × 32"),
        ({}, {"input__size_px": 299}, r"expected NCHW of 3 × 299 × 299.*found 3 × 32 × 32"),
        ({"dtype": np.float64}, {}, "expected float32 or float16 or uint8; found double"),
        ({"last": "Softmax"}, {}, "another than it is said to be.*found Softmax as its last operator"),
        ({}, {"output__activation": "softmax"}, "expected softmax, as about.toml says; found Gemm"),
        ({"extra": TWO_SOFTMAXES, "outputs": ["answer"]}, {"output__activation": "softmax"}, "twice.*Softmax, then Softmax"),
        ({"last": "Softmax", "outputs": ["answer", "logits"]}, {}, "which output.*one of answer, logits; found no name"),
        ({}, {"output__name": "probabilities"}, "one of logits; found probabilities"),
        ({"last": "Tanh"}, {}, "where in a tile the model looks.*found operator Tanh"),
        ({}, {"output__embedding": "features"}, "embedding cannot be used.*found N × 8 × 16 × 16"),
        ({}, {"output__embedding": "nowhere"}, "embedding cannot be used.*found no such tensor"),
    ],
)
def test_a_model_that_is_not_fit_or_not_as_it_is_said_to_be(
    tmp_path: Path, model: Mapping[str, Any], said: Mapping[str, Any], sentence: str
) -> None:
    with pytest.raises(WrapRefused, match=sentence):
        read(write_model(tmp_path / "model.onnx", **model), **said)


def test_of_two_outputs_the_one_that_is_named_is_read(tmp_path: Path) -> None:
    path = write_model(tmp_path / "model.onnx", last="Softmax", outputs=["answer", "logits"])
    read(path, output__name="logits")
    read(path, output__name="answer", output__activation="softmax")


def test_probabilities_that_are_called_logits_are_found_by_their_sums() -> None:
    probabilities = np.array([[0.2, 0.3, 0.4, 0.1], [0.7, 0.1, 0.1, 0.1]])
    with pytest.raises(WrapRefused, match="twice.*sum to 1 on every tile"):
        check_answers(AnswerOut(activation="none (logits)"), probabilities, 4)


@pytest.mark.parametrize(
    ("columns", "classes", "activation", "sentence"),
    [
        (3, 4, "none (logits)", "expected 4 numbers a tile; found 3"),
        (1, 2, "softmax", "expected 2 numbers a tile; found 1"),
        (4, 4, "sigmoid", "found a sigmoid for each of 4 classes"),
    ],
)
def test_answers_that_are_not_one_class_of_those_listed(columns: int, classes: int, activation: str, sentence: str) -> None:
    logits = np.random.default_rng(0).normal(size=(8, columns))
    with pytest.raises(WrapRefused, match=sentence):
        check_answers(AnswerOut.model_validate({"activation": activation}), logits, classes)


def test_a_model_that_answers_the_same_for_every_tile(tmp_path: Path) -> None:
    network = read_network(write_model(tmp_path / "model.onnx"), AboutModel.model_validate(about()))
    described = AboutModel.model_validate(about(input__transforms=[{"multiply": 0}]))
    with pytest.raises(WrapRefused, match="same for every tile.*Check the transforms"):
        fit(network, described, pictures(), FOLDS)


def test_a_model_that_reads_more_than_pixels(tmp_path: Path) -> None:
    model = onnx.load(write_model(tmp_path / "model.onnx"))
    model.graph.input.append(helper.make_tensor_value_info("age", TensorProto.FLOAT, ["batch", 1]))
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(WrapRefused, match="expected one, the pixels; found 2: pixels, age"):
        read(tmp_path / "model.onnx")


def test_a_model_for_one_tile_at_once(tmp_path: Path) -> None:
    described = AboutModel.model_validate(about())
    network = read_network(write_model(tmp_path / "model.onnx", extra=ONE_TILE, outputs=["answer"], tiles=1), described)
    with pytest.raises(WrapRefused, match="any number of tiles at once.*free batch size"):
        fit(network, described, pictures(), FOLDS)


def test_weights_in_another_file(tmp_path: Path) -> None:
    model = onnx.load(write_model(tmp_path / "plain.onnx"))
    onnx.save(model, tmp_path / "model.onnx", save_as_external_data=True, size_threshold=0)
    with pytest.raises(WrapRefused, match="weights in another file.*external data"):
        read(tmp_path / "model.onnx")


def test_a_file_of_more_than_two_gigabytes_is_not_even_read(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    with path.open("wb") as file:
        file.truncate(FILE_BYTES_AT_MOST + 1)
    with pytest.raises(WrapRefused, match=r"less than 2 GiB.*found 2\.0 GiB"):
        read(path)


@pytest.mark.parametrize(("name", "content"), [("model.onnx", b"\xff\xfe no graph"), ("model.onnx", b""), ("model.pth", b"PK")])
def test_a_file_that_holds_no_model(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WrapRefused, match=r"an ONNX file|\.onnx, \.keras or \.pt"):
        read(tmp_path / name)


def test_299_px_and_19_classes_are_wrapped(tmp_path: Path) -> None:
    many = [
        class_of(f"class-{at}", colour=colour, role="malignant" if at < 2 else "other") for at, colour in enumerate(COLOURS)
    ]
    extra = [
        helper.make_node(
            "Constant", [], ["wide"], value=helper.make_tensor("w", TensorProto.FLOAT, [4, 19], np.eye(4, 19).ravel())
        ),
        helper.make_node("MatMul", ["logits", "wide"], ["answer"]),
    ]
    path = write_model(tmp_path / "model.onnx", size_px=299, declared_px=299, extra=extra, outputs=["answer"])
    described = AboutModel.model_validate(about(many, input__size_px=299))
    fitted = fit(read_network(path, described), described, pictures(5, 19, 299), FOLDS)
    shapes = {output.name: output.shape for output in fitted.outputs}
    assert shapes["probabilities"] == ["N", 19]
    assert shapes["cam"] == ["N", 19, 150, 150]


# What is said of it


def test_everything_that_is_missing_is_named_at_once(tmp_path: Path) -> None:
    said = about()
    for table, key in (("model", "limits"), ("card", "licence_id"), ("held_out", "licence")):
        del said[table][key]
    del said["output"]
    with pytest.raises(WrapRefused) as refused:
        read_about(write_about(tmp_path / "about.toml", said))
    for key in ("model.limits", "card.licence_id", "held_out.licence", "output: "):
        assert key in refused.value.found


def test_a_mark_of_byte_order_before_it_is_no_fault(tmp_path: Path) -> None:
    path = write_about(tmp_path / "about.toml", about())
    path.write_bytes(codecs.BOM_UTF8 + path.read_bytes())
    assert read_about(path).name == "elsewhere"


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ({"input__colour": "RGB"}, "input.colour: Extra inputs are not permitted"),
        ({"classes": [FOUR[2].model_dump()]}, "classes: List should have at least 2"),
        ({"classes": [item.model_dump() for item in FOUR[:2]]}, "malignant classes against all others"),
        ({"output__activation": "maybe"}, "output.activation"),
        ({"input__transforms": [{"divide": 255, "subtract": 1}]}, "a transform is one of"),
        ({"input__transforms": [{"normalise": 255}]}, "normalise: Extra inputs"),
        ({"input__transforms": [{"divide": 0}]}, "divided by 0"),
    ],
)
def test_a_description_that_says_what_nobody_knows(tmp_path: Path, said: Mapping[str, Any], sentence: str) -> None:
    with pytest.raises(WrapRefused, match=sentence):
        read_about(write_about(tmp_path / "about.toml", about(**said)))


# Its tiles


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("listed") / "tiles"
    write_tiles(place)
    return place


def listed(folder: Path, change: Any) -> None:
    """Read the tiles with a list that was changed."""
    table = change(pd.read_csv(folder / "tiles.csv", dtype=str))
    path = folder / "changed.csv"
    table.to_csv(path, index=False)
    read_tiles(path, [item.id for item in FOUR], SIZE_PX, 5)


def with_file(folder: Path, tile: Image.Image, name: str, **options: Any) -> Any:
    """A change by which the last row, a test tile, is this picture."""
    tile.save(folder / name, **options)

    def change(table: pd.DataFrame) -> pd.DataFrame:
        table.loc[len(table) - 1, "path"] = name
        return table

    return change


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda table: table.drop(columns="label"), "no label.*Say in each row.*its label"),
        (lambda table: table[table["split"] == "test"], "There are no validation tiles.*never on test tiles"),
        (lambda table: table[(table["split"] == "test") | (table["label"] == "normal")], "0 of dysplasia in validation"),
        (lambda table: table.replace("normal", "healthy"), "another label.*found another in 20 rows"),
        (lambda table: table.replace("test", "train"), "expected validation or test; found another in"),
        (lambda table: table.assign(group=[""] + ["x"] * (len(table) - 1)), r"a group in each row; found row 2"),
        (lambda table: table.assign(path="none.png"), "cannot be read.*FileNotFoundError in row 2"),
    ],
)
def test_a_list_of_tiles_by_which_nothing_can_be_measured(folder: Path, change: Any, sentence: str) -> None:
    with pytest.raises(WrapRefused, match=sentence):
        listed(folder, change)


def test_a_group_on_both_sides_is_named_by_its_first_row_and_not_by_its_name(folder: Path) -> None:
    def change(table: pd.DataFrame) -> pd.DataFrame:
        table.loc[[0, len(table) - 1], "group"] = "Jane Doe"
        return table

    with pytest.raises(LeakError, match="found group of row 2") as refused:
        listed(folder, change)
    assert "Jane" not in str(refused.value)


def test_copies_on_both_sides_are_found_also_turned_mirrored_and_saved_again(folder: Path) -> None:
    with Image.open(folder / "1.png") as opened:
        tile = opened.convert("RGB")
    with pytest.raises(WrapRefused, match="1 pictures on both sides, row 2 = row 81"):
        listed(folder, with_file(folder, tile, "copy.png"))
    turned = tile.transpose(Image.Transpose.ROTATE_90).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    with pytest.raises(LeakError, match="Nearly the same picture.*between row 2 and row 81"):
        listed(folder, with_file(folder, turned, "again.jpg", quality=70))


def test_a_tile_of_another_size_or_depth(folder: Path) -> None:
    with pytest.raises(WrapRefused, match="expected 32 × 32 px; found 16 × 32 px in row 81"):
        listed(folder, with_file(folder, Image.new("RGB", (16, 32)), "small.png"))
    with pytest.raises(WrapRefused, match="8 bits in three channels; found RGBA in row 81"):
        listed(folder, with_file(folder, Image.new("RGBA", (32, 32)), "alpha.png"))
    with pytest.raises(WrapRefused, match="found I;16 in row 81"):
        listed(folder, with_file(folder, Image.new("I;16", (32, 32)), "grey16.png"))


def png_of_16_bits(path: Path) -> None:
    """Three channels of 16 bits, which Pillow reads as 8 and cannot write."""
    rows = b"".join(b"\0" + bytes(SIZE_PX * 6) for _ in range(SIZE_PX))
    parts = (b"IHDR", struct.pack(">IIBBBBB", SIZE_PX, SIZE_PX, 16, 2, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")
    chunks = (struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))


def test_a_tile_of_16_bits_a_channel_is_not_cut_to_8(folder: Path) -> None:
    png_of_16_bits(folder / "deep.png")
    with pytest.raises(WrapRefused, match="expected 8 bits a channel; found 16 bits in row 2"):
        listed(folder, lambda table: table.assign(path=["deep.png", *table["path"][1:]]))


@pytest.mark.parametrize("name", ["../model.onnx", "/etc/hostname", "link.png", "C:x.png"])
def test_a_tile_that_lies_elsewhere_is_not_opened(folder: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "elsewhere.png").write_bytes((folder / "1.png").read_bytes())
    if not (folder / "link.png").is_symlink():
        (folder / "link.png").symlink_to(tmp_path / "elsewhere.png")
    with pytest.raises(WrapRefused, match="One of the tiles lies elsewhere.*in row 2") as refused:
        listed(folder, lambda table: table.assign(path=[name, *table["path"][1:]]))
    assert name not in str(refused.value)
    (folder / "link.png").unlink()


def test_a_list_as_spreadsheets_write_it(folder: Path) -> None:
    text = (folder / "tiles.csv").read_text()
    path = folder / "spreadsheet.csv"
    path.write_text(text.replace(",", ";"), encoding="utf-8-sig")
    assert len(read_tiles(path, [item.id for item in FOUR], SIZE_PX, 5).labels) == 80
    path.write_bytes(text.replace("validation-normal-0", "Müller").encode("latin-1"))
    with pytest.raises(WrapRefused, match=r"expected CSV in UTF-8; found another encoding\. Save the list again"):
        read_tiles(path, [item.id for item in FOUR], SIZE_PX, 5)


# Files that name code


@pytest.mark.parametrize(
    ("layer", "found"),
    [
        ({"module": "keras.layers", "class_name": "Lambda", "config": {}}, "Lambda"),
        ({"module": "os", "class_name": "system", "config": {}}, "system"),
        ({"module": "keras.layers", "class_name": "TFSMLayer", "config": {}}, "TFSMLayer"),
        ({"module": "mine", "class_name": "Layer", "registered_name": "mine>Layer", "config": {}}, "Layer"),
    ],
)
def test_a_keras_file_that_names_code_is_refused_before_keras_sees_it(
    tmp_path: Path, layer: Mapping[str, Any], found: str
) -> None:
    model = {"module": "keras", "class_name": "Sequential", "config": {"layers": [layer]}}
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
        archive.writestr("config.json", json.dumps(model))
    with pytest.raises(WrapRefused, match=f"code of its own, which is not run.*found {found}"):
        write_onnx(str(tmp_path / "model.keras"), str(tmp_path / "out.onnx"), SIZE_PX, "NHWC")


def test_the_command_says_what_is_wrong_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = write_model(tmp_path / "model.onnx", last="Softmax")
    description = write_about(tmp_path / "about.toml", about())
    words = ["wrap", str(model), "--about", str(description), "--tiles", str(tmp_path / "tiles.csv"), "--out"]
    assert main([*words, str(tmp_path / "out")]) == 1
    assert "another than it is said to be" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
