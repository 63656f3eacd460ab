"""The recipe of the shipped slide model, small and whole: real tiles in, a proven manifest entry out."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytestmark = [pytest.mark.training, pytest.mark.slow, pytest.mark.timeout(2700)]
pytest.importorskip("tensorflow", reason="training needs TensorFlow, which the app's environment has not")

import keras  # noqa: E402

from cervix.bundle import load_bundle  # noqa: E402
from cervix.bundle.manifest import Model  # noqa: E402
from cervix.bundle.sessions import CPU_PROVIDER, open_session  # noqa: E402
from tests.training.recipes import recipe_with, small_sources  # noqa: E402
from training.bundle.build import about_build, assemble_bundle  # noqa: E402
from training.cli import main  # noqa: E402
from training.shared.manifest_parts import SIGNIFICANT_BITS  # noqa: E402
from training.slide import recipe as slide  # noqa: E402
from training.slide.checks.laboratories import REMEDIES  # noqa: E402
from training.slide.entry import SlideFigures, slide_entry  # noqa: E402
from training.slide.recipe import train_slide_model  # noqa: E402
from training.slide.vgg16 import WeightsMissing, backbone  # noqa: E402

GROUPS_PER_CLASS = 10


class Interrupted(RuntimeError):
    """Stands for a power cut."""


class Run:
    """One run of a small recipe that was cut off before its export and then started again."""

    def __init__(self, data_dir: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.out = folder / "out"
        self.logs: list[list[str]] = [[], []]
        tiles = small_sources(data_dir, folder / "tiles", folder / "tissue.toml", GROUPS_PER_CLASS)
        recipe = recipe_with(
            "shipped", folder / "small.toml",
            copies=1, trials=1, epochs=1, tiles=8, runs=1, batch_sizes="[4, 4]", calibration_tiles=8,
            agreement_at_least=0.0, auroc_loss_at_most=1.0, minimum_tiles="[2]", slides=3,
        )  # fmt: skip
        weights = data_dir / "weights/vgg16_imagenet_notop.h5"

        def cut(*_: object) -> SlideFigures:
            raise Interrupted

        with monkeypatch.context() as patched:
            patched.setattr(slide, "export_and_evaluate", cut)
            with pytest.raises(Interrupted):
                train_slide_model(recipe, tiles, weights, self.out, self.logs[0].append)
        self.entry: Model = slide_entry(train_slide_model(recipe, tiles, weights, self.out, self.logs[1].append))


@pytest.fixture(scope="module")
def run(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    with pytest.MonkeyPatch.context() as monkeypatch:
        return Run(data_dir, tmp_path_factory.mktemp("slide"), monkeypatch)


def held_out_of(run: Run) -> int:
    """How many tiles the entry counts in the test split."""
    return sum(sum(data.counts.get("test", {}).values()) for data in run.entry.training_data)


def test_a_run_that_was_cut_off_goes_on_after_its_last_finished_stage(run: Run) -> None:
    remedies = [f"remedy-{number}" for number in range(1, len(REMEDIES) + 1)]
    left_out = [f"laboratory-{name}" for name in ("ebhi", "lc25000", "nuinsseg", "rahman", "ut-southwestern")]
    of_lesions = "activations"
    stages = ("activations", "activations-copy1", "features", *left_out, *remedies, "trial-1", "run-1", of_lesions)
    assert [line for line in run.logs[1] if line.endswith("read back")] == [
        f"{stage}: finished before, read back" for stage in stages
    ]
    assert not [line for line in run.logs[0] if line.endswith("read back")]
    assert any(line.startswith("epoch") for line in run.logs[0])
    assert not any(line.startswith("epoch") for line in run.logs[1])


def test_its_parts_make_a_bundle_that_proves_itself(run: Run, tmp_path: Path) -> None:
    assemble_bundle(run.out, tmp_path / "bundle", [run.entry], about_build([run.entry]))
    bundle = load_bundle(tmp_path / "bundle", device="cpu")
    assert bundle.session_of("tile").variant.precision == "int8"


def test_whole_source_images_stand_on_one_side_and_every_class_on_each(run: Run) -> None:
    lung = run.entry.training_data[0]
    assert lung.groups == {"train": 18, "validation": 6, "test": 6}
    assert lung.counts["test"] == {"benign": 2, "scc": 2, "ac": 2}
    assert [data.name for data in run.entry.training_data][-1].startswith("ImageNet")


def test_every_table_is_written_and_holds_something(run: Run) -> None:
    assert {table.file for table in run.entry.measured.tables} == {f"slide/{path.name}" for path in run.out.glob("slide/*.csv")}
    for table in run.entry.measured.tables:
        assert len(pd.read_csv(run.out / table.file)) >= 1, table.id


def test_every_search_trial_and_run_is_listed(run: Run) -> None:
    trials, runs = (pd.read_csv(run.out / f"slide/{name}.csv") for name in ("trials", "runs"))
    assert trials["chosen"].tolist() == ["yes"]
    assert runs["run"].tolist() == ["1", "half way from the start to their mean"]
    assert runs["shipped"].tolist() == ["no", "yes"]


def test_predictions_are_of_test_tiles_by_the_int8_graph(run: Run) -> None:
    frame = pd.read_parquet(run.out / run.entry.measured.predictions)
    assert len(frame) == held_out_of(run)
    assert set(frame["by_source"]) <= {data.name for data in run.entry.training_data}
    np.testing.assert_allclose(frame[["p_benign", "p_scc", "p_ac", "p_other"]].sum(axis=1), 1.0, atol=2.0**-SIGNIFICANT_BITS)
    for baseline in run.entry.measured.baselines:
        np.testing.assert_allclose(
            frame[[f"{baseline.id}__p_{name}" for name in run.entry.class_ids]].sum(axis=1), 1.0, atol=2.0**-SIGNIFICANT_BITS
        )


def test_each_variant_states_its_distance_to_fp32_and_the_opset_is_named(run: Run) -> None:
    for variant in run.entry.variants:
        assert variant.difference is not None
        assert variant.difference.n == held_out_of(run)
        session = open_session((run.out / variant.file).read_bytes(), CPU_PROVIDER)
        assert session.get_inputs()[0].shape == ["N", 224, 224, 3]
    assert "ONNX opset 18" in run.entry.architecture


def test_block_5_was_trained_and_the_blocks_before_it_were_not(run: Run, data_dir: Path) -> None:
    network = backbone(data_dir / "weights/vgg16_imagenet_notop.h5")
    path = next((run.out / "stages").glob("run-1-*.npz"))
    with np.load(path, allow_pickle=False) as finished:
        first, last = finished["w0"], finished["w4"]
    assert first.shape == last.shape == (3, 3, 512, 512)
    for name, trained in (("block5_conv1", first), ("block5_conv3", last)):
        before = network.get_layer(name).get_weights()[0]
        assert 0 < np.abs(trained - before).max() < 0.1


def test_what_ships_lies_half_way_between_the_start_and_the_mean_of_the_runs() -> None:
    def model(value: float) -> keras.Model:
        entry = keras.Input((2,))
        made = keras.Model(entry, keras.layers.Dense(1)(entry))
        made.set_weights([np.full((2, 1), value), np.full(1, -value)])
        return made

    kernel, bias = slide.halfway(model(1.0), [model(2.0), model(6.0)]).get_weights()
    np.testing.assert_allclose(kernel, 2.5)
    np.testing.assert_allclose(bias, -2.5)


@pytest.mark.parametrize("recipe", ["paper", "shipped"])
def test_missing_weights_are_asked_for_in_one_sentence(
    recipe: str, data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiles = data_dir / "tiles"
    arguments = ["slide", "--recipe", recipe, "--tiles", str(tiles), "--out", str(tmp_path)]
    assert main([*arguments, "--vgg16-weights", str(tmp_path / "nowhere.h5")]) == 1
    said = capsys.readouterr().err
    assert "The ImageNet weights of VGG16 cannot be loaded" in said
    assert "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5" in said


def test_a_file_that_is_no_weights_is_refused(tmp_path: Path) -> None:
    (tmp_path / "weights.h5").write_bytes(b"not HDF5")
    with pytest.raises(WeightsMissing, match=r"weights\.h5"):
        backbone(tmp_path / "weights.h5")


def test_a_download_that_fails_says_what_file_to_give(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(**_: object) -> None:
        raise Exception("URL fetch failure on https://example.org/weights.h5: Name or service not known")  # as Keras does

    monkeypatch.setattr("keras.applications.VGG16", offline)
    with pytest.raises(WeightsMissing, match="--vgg16-weights"):
        backbone(None)
