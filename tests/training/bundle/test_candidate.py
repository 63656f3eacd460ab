"""A candidate bundle from labels: proved, traceable, no worse for its neighbours, and never taught what it is tested on."""

import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cervix.bundle import Bundle, load_bundle, verify_bundle
from cervix.bundle.loading import replay_golden
from cervix.bundle.manifest import Manifest, Model, manifest_text
from cervix.bundle.sessions import CPU_PROVIDER, ModelSession, open_session
from cervix.card.comparison import comparison_text
from cervix.errors import BundleError
from cervix.labels import Case, LabelEvent, LabelStore, open_store
from cervix.labels.gathering.women import gather_patients
from cervix.labels.store.cases import PATIENT_LABELS, patient_case, tile_case
from cervix.patients.visit_sample import sample_visits_csv
from cervix.patients.visits import read_visits
from cervix.promotion.comparison import compare_bundles
from cervix.promotion.new_cases import new_case_pairs
from cervix.retraining.log import LogLine
from cervix.settings import PROJECT_ROOT, get_settings

pytestmark = [pytest.mark.training, pytest.mark.slow]
pytest.importorskip("tensorflow", reason="training needs TensorFlow, which the app's environment has not")

from training.cli import RECIPES_DIR, main  # noqa: E402
from training.history.rehearsal import read_history_rehearsal  # noqa: E402
from training.history.retrain import known_test_women, retrain_history  # noqa: E402
from training.shared.installation_labels import LEAKING, OTHER_CLASS, LabelsTooFew, folds_of, read_labels  # noqa: E402
from training.shared.manifest_parts import SIGNIFICANT_BITS  # noqa: E402
from training.shared.onnx_graphs import run_onnx  # noqa: E402
from training.slide.rehearsal import read_slide_rehearsal  # noqa: E402
from training.slide.retrain import near_test_tiles  # noqa: E402

READER = "Reader-Whom-No-Bundle-Names"
CLASSES = ["benign", "scc", "ac"]
TILES = 24
WOMEN = 24
SLIDES = 6
REFUSED_SLIDE = f"{SLIDES:064x}"


def pictures(data_dir: Path, bundle: Bundle, *, tested: bool) -> pd.DataFrame:
    """Real tiles that the slide model was, or was not, tested on: ``path, label, pixels``."""
    index = pd.read_csv(data_dir / "tiles/lc25000_lung/index.csv")
    predictions = pd.read_parquet(bundle.root / "slide/predictions.parquet")
    ours = {"lung_n": "benign", "lung_scc": "scc", "lung_aca": "ac"}
    index = index[index["path"].isin(predictions["case"]) == tested].groupby("label").head(TILES // 3)
    pixels = [np.asarray(Image.open(data_dir / "tiles/lc25000_lung" / path).convert("RGB")) for path in index["path"]]
    return pd.DataFrame({"path": index["path"], "label": index["label"].map(ours), "pixels": pixels})


def label_all(store: LabelStore, cases: list[Case], labels: list[str]) -> None:
    store.declare_classes("tile", CLASSES)
    store.declare_classes("patient", PATIENT_LABELS)
    store.add_cases(cases)
    store.record_all([LabelEvent(case.id, READER, "label", label) for case, label in zip(cases, labels, strict=True)])


@pytest.fixture(scope="module")
def url(data_dir: Path, bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store with labelled tiles of six slides, three test tiles mirrored on a seventh, and labelled women."""
    address = f"sqlite:///{tmp_path_factory.mktemp('store') / 'labels.sqlite'}"
    learned, tested = pictures(data_dir, bundle, tested=False), pictures(data_dir, bundle, tested=True).head(3)
    tiles = [tile_case(f"{n % SLIDES:064x}", 224 * n, 0, 224, 0.5, pixels) for n, pixels in enumerate(learned["pixels"])]
    copies = [
        tile_case(REFUSED_SLIDE, 224 * n, 0, 224, 0.5, np.ascontiguousarray(pixels[:, ::-1]))
        for n, pixels in enumerate(tested["pixels"])
    ]
    women, _ = gather_patients(read_visits(sample_visits_csv(80).encode()), "a" * 64, bundle, WOMEN)
    with open_store(address) as store:
        label_all(store, tiles + copies, [*learned["label"], *tested["label"]])
        label_all(store, women, [PATIENT_LABELS[n % 2] for n in range(len(women))])
    return address


@pytest.fixture(scope="module")
def made(url: str, bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The candidate that the command line makes of the tiles with the small recipe."""
    out = tmp_path_factory.mktemp("candidates") / "next"
    options = ["retrain", "--labels", url, "--from", str(bundle.root), "--out", str(out), "--recipe", "retrain-small"]
    assert main([*options, "--model", "slide", "--by", "An admin"]) == 0
    return out


@pytest.fixture(scope="module")
def candidate(made: Path) -> Bundle:
    return load_bundle(made, device="cpu")


def used_events(entry: Model, folder: Path) -> set[str]:
    assert entry.lineage is not None
    return set(pd.read_csv(folder / entry.lineage.events)["key"])


def test_the_candidate_proves_itself_in_every_variant(made: Path) -> None:
    assert all(check.passed for check in verify_bundle(made, device="cpu"))
    assert [path.name for path in made.parent.iterdir()] == [made.name]


def test_it_says_where_it_comes_from(candidate: Bundle, bundle: Bundle, url: str) -> None:
    before = bundle.manifest.version.split(".")
    assert candidate.manifest.version == f"{before[0]}.{before[1]}.{int(before[2]) + 1}"
    assert candidate.manifest.changelog[0].endswith(f"starting from {bundle.label}.")
    with open_store(url) as store:
        events, trail = store.events(), store.audit_trail().iloc[0]
    model = candidate.manifest.model("slide")
    assert model.lineage is not None
    assert model.lineage.parent_sha256 == bundle.sha256
    assert sum(model.lineage.labels.values()) == TILES
    learned = (events["kind"] == "tile") & (events["source"] != REFUSED_SLIDE)
    assert used_events(model, candidate.root) == set(events.loc[learned, "key"])
    assert (trail["who"], trail["what"], trail["subject"]) == ("An admin", "retrain", candidate.label)
    assert trail["detail"]["lineage"]["slide"]["left_out"] == {LEAKING: 3}


def test_its_card_says_which_labels_made_it(made: Path, bundle: Bundle) -> None:
    card = (made / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "### Retrained from labels" in card
    assert f"({bundle.short_hash}) on labels: 8 adenocarcinoma, 8 benign, 8 squamous-cell carcinoma" in card
    assert "### Retrained from labels" not in (bundle.root / "MODEL_CARD.md").read_text(encoding="utf-8")


def test_no_file_of_it_names_a_reader(made: Path) -> None:
    assert not [path for path in made.rglob("*") if path.is_file() and READER.encode() in path.read_bytes()]


def test_what_was_not_retrained_is_the_parents_to_the_byte(candidate: Bundle, bundle: Bundle) -> None:
    before = {file.path: file.sha256 for file in bundle.manifest.files}
    after = {file.path: file.sha256 for file in candidate.manifest.files}
    others = [path for path in before if not path.startswith("slide/")]
    assert len(others) > 20
    assert [path for path in (*others, "slide/rehearsal.npz") if before[path] != after.get(path)] == []
    assert before["slide/int8.onnx"] != after["slide/int8.onnx"]


def test_its_predictions_are_what_its_graph_answers_to_the_real_test_tiles(
    candidate: Bundle, bundle: Bundle, data_dir: Path
) -> None:
    tiles = pictures(data_dir, bundle, tested=True).groupby("label").head(3)
    graph = (candidate.root / "slide/int8.onnx").read_bytes()
    classes = candidate.manifest.model("slide").class_ids
    answered = run_onnx(graph, np.stack(tiles["pixels"].to_list()), ["probabilities", "embedding"])
    predictions = pd.read_parquet(candidate.root / "slide/predictions.parquet").set_index("case").loc[tiles["path"]]
    assert np.abs(answered["probabilities"] - predictions[[f"p_{name}" for name in classes]].to_numpy()).max() < 0.02
    before = run_onnx((bundle.root / "slide/int8.onnx").read_bytes(), np.stack(tiles["pixels"].to_list()), ["embedding"])
    assert np.array_equal(before["embedding"], answered["embedding"])


def test_it_is_compared_with_its_parent_on_frozen_and_on_new_cases(candidate: Bundle, bundle: Bundle) -> None:
    comparison = compare_bundles(bundle, candidate)
    (slide,) = comparison.changed
    rulings = {ruling.rule: ruling.finding for ruling in slide.rulings}
    assert rulings["It reads and answers the same"] == rulings["Both were tested on the same cases"] == "met"
    assert slide.new_cases["cancerous"].n == TILES
    assert slide.new_cases["cancerous"].active.groups == SLIDES
    assert "on the newly labelled cases" in comparison_text(comparison)
    assert READER not in comparison_text(comparison)
    assert new_case_pairs(candidate, bundle, "slide") == {}


def test_the_history_model_learns_from_labelled_women(url: str, bundle: Bundle, tmp_path: Path) -> None:
    recipe = tomllib.loads((RECIPES_DIR / "retrain-small.toml").read_text(encoding="utf-8"))
    said: list[float] = []
    with open_store(url) as store:
        labels = read_labels(store, "patient", PATIENT_LABELS)
        entry = retrain_history(bundle, labels, store, recipe, tmp_path, print, lambda share, _: said.append(share))
    before = bundle.manifest.model("history")
    assert said == sorted(said)
    assert len(used_events(entry, tmp_path)) == WOMEN
    graph = (tmp_path / entry.variants[0].file).read_bytes()
    session = ModelSession(entry, entry.variants[0], open_session(graph, CPU_PROVIDER), CPU_PROVIDER)
    assert replay_golden(session, (tmp_path / entry.golden).read_bytes()).passed
    assert (entry.inputs, entry.outputs, entry.classes) == (before.inputs, before.outputs, before.classes)
    old, new = (pd.read_parquet(root / entry.measured.predictions) for root in (bundle.root, tmp_path))
    scores = [f"p_{name}" for name in entry.class_ids]
    assert old.drop(columns=scores).equals(new.drop(columns=scores))
    assert 0 < np.abs(old[scores].to_numpy() - new[scores].to_numpy()).max() < 0.5
    assert entry.lineage is not None
    judged = pd.read_parquet(tmp_path / entry.lineage.new_cases)
    assert set(judged["label"]) == {"none", "cin2-3y-cin3-3y"}
    assert np.allclose(judged[scores].sum(axis=1), 1, atol=2.0**-SIGNIFICANT_BITS)
    assert set(entry.files) <= {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}


def test_a_second_run_does_not_write_over_it(made: Path, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["retrain", "--labels", url, "--out", str(made)]) == 1
    assert "there already" in capsys.readouterr().err


def test_without_a_place_named_it_goes_where_the_app_looks(
    url: str, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[Path] = []
    monkeypatch.setattr("training.bundle.candidate.retrain", lambda *given: asked.append(given[5]) or "a bundle")
    assert main(["retrain", "--labels", url]) == 0
    assert asked[0].parent == get_settings().bundles_dir == home / "bundles"
    assert f"candidate a bundle in {asked[0]}" in capsys.readouterr().out


def answers(tmp_path: Path, labels: list[str], *options: str) -> tuple[int, Path]:
    """What the command line says to a store with so many labelled tiles."""
    address = f"sqlite:///{tmp_path / 'labels.sqlite'}"
    pixels = np.random.default_rng(0).integers(0, 256, (len(labels), 224, 224, 3), np.uint8)
    with open_store(address) as store:
        label_all(store, [tile_case(f"{n:064x}", 0, 0, 224, 0.5, tile) for n, tile in enumerate(pixels)], labels)
    out = tmp_path / "candidates" / "next"
    return main(["retrain", "--labels", address, "--out", str(out), "--recipe", "retrain-small", *options]), out


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        ([], "found none"),
        (["scc", "ac", "benign"], "found 1 ac, 1 benign, 1 scc"),
        (["scc"] * 12, "found 12 scc"),
        (["scc"] * 12 + ["ac"] * 2, "found 2 ac, 12 scc"),
    ],
)
def test_too_few_labels_are_refused_with_what_there_is(
    tmp_path: Path, labels: list[str], found: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out = answers(tmp_path, labels, "--model", "slide")
    told = capsys.readouterr().err
    assert code == 1
    assert found in told
    assert "Label more cases" in told
    assert not out.parent.exists() or not list(out.parent.iterdir())


def test_without_a_model_that_has_labels_enough_each_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _ = answers(tmp_path, ["scc", "ac"])
    told = capsys.readouterr().err
    assert code == 1
    assert "labels of tiles" in told
    assert "labels of women" in told


def test_a_parent_without_rehearsal_is_refused(tmp_path: Path, bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    parent = tmp_path / "parent"
    shutil.copytree(bundle.root, parent)
    models = [model.model_copy(update={"rehearsal": None}) for model in bundle.manifest.models]
    without = bundle.manifest.model_copy(update={"models": models})
    (parent / "manifest.json").write_text(manifest_text(Manifest.model_validate(without.model_dump())), encoding="utf-8")
    code, _ = answers(tmp_path, ["scc"] * 8 + ["ac"] * 8, "--from", str(parent), "--model", "slide")
    assert code == 1
    assert "cannot be retrained from this bundle" in capsys.readouterr().err


def test_a_parent_that_does_not_prove_itself_teaches_nobody(
    tmp_path: Path, bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    parent = tmp_path / "parent"
    shutil.copytree(bundle.root, parent)
    (parent / "slide/int8.onnx").write_bytes(b"\0" + (parent / "slide/int8.onnx").read_bytes()[1:])
    code, out = answers(tmp_path, ["scc"] * 8 + ["ac"] * 8, "--from", str(parent))
    assert code == 1
    assert "slide/int8.onnx has changed" in capsys.readouterr().err
    assert not out.exists()


def test_a_run_that_is_killed_leaves_no_candidate(url: str, bundle: Bundle, tmp_path: Path) -> None:
    out = tmp_path / "candidates" / "next"
    command = [sys.executable, "-m", "training", "--json", "retrain", "--labels", url, "--from", str(bundle.root)]
    small = ["--out", str(out), "--recipe", "retrain-small", "--model", "slide"]
    with subprocess.Popen([*command, *small], cwd=PROJECT_ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = (LogLine.model_validate_json(line) for line in process.stdout if line.startswith("{"))
        assert any(line.event == "progress" and line.stage == "slide" and "fold" in line.message for line in told)
        process.kill()
    assert not out.exists()


def test_a_tile_near_a_test_tile_is_known_in_any_orientation(bundle: Bundle) -> None:
    rehearsal = read_slide_rehearsal((bundle.root / "slide/rehearsal.npz").read_bytes())
    tests = len(rehearsal.of("test"))
    turned = rehearsal.test_texture[[0, tests + 1, 7 * tests + 2]]
    texture = turned * rehearsal.texture_spread + rehearsal.texture_mean
    assert near_test_tiles(texture, ["", "", ""], rehearsal).all()
    elsewhere = np.random.default_rng(0).normal(size=(2, 512)).astype(np.float32) * rehearsal.texture_spread
    found = near_test_tiles(rehearsal.texture_mean + elsewhere, ["", rehearsal.test_sha256[5]], rehearsal)
    assert found.tolist() == [False, True]


def test_a_test_womans_history_is_known_and_another_is_not(bundle: Bundle) -> None:
    data = read_history_rehearsal((bundle.root / "history/rehearsal.npz").read_bytes())
    long = data.women("test")[data.histories.lengths[data.women("test")] >= 5][:20]
    other = data.women("calibration")[data.histories.lengths[data.women("calibration")] >= 12][:20]
    found = known_test_women(data.histories.prefixes(data.histories.last[np.concatenate([long, other])]), data)
    assert found[:20].all()
    assert not found[20:].any()
    beginnings = known_test_women(data.histories.prefixes(data.histories.first[long] + 3), data)
    assert beginnings.all(), "a labelled history ends where she was asked about"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LabelStore]:
    with open_store(f"sqlite:///{tmp_path / 'labels.sqlite'}") as opened:
        yield opened


def test_only_what_counts_is_read_and_the_rest_is_counted(store: LabelStore) -> None:
    cases = [patient_case("a" * 64, f"{number}", [number]) for number in range(5)]
    store.declare_classes("patient", ["no", "yes", "perhaps"])
    store.add_cases(cases)
    for case, label in zip(cases, ["no", "yes", "perhaps", "no", "no"], strict=True):
        store.record(LabelEvent(case.id, "ann", "label", label))
    store.undo("ann")
    store.record(LabelEvent(cases[3].id, "ben", "label", "yes"))
    labels = read_labels(store, "patient", PATIENT_LABELS)
    assert labels.counts == {"no": 1, "yes": 1}
    assert labels.left_out == {OTHER_CLASS: 1}
    assert set(labels.events["case_id"]) == {cases[0].id, cases[1].id}
    store.record(LabelEvent(cases[3].id, "cleo", "adjudicate", "yes"))
    assert read_labels(store, "patient", PATIENT_LABELS).counts == {"no": 1, "yes": 2}
    with pytest.raises(LabelsTooFew, match="1 no, 2 yes; 1 left out, of a class that the model does not have"):
        read_labels(store, "patient", PATIENT_LABELS).require_enough({"at_least": 3, "of_each_of_two_classes": 2})


def test_folds_keep_slides_whole_where_there_are_enough_and_say_so_where_not(store: LabelStore) -> None:
    blank = np.zeros((224, 224, 3), np.uint8)
    cases = [tile_case(f"{n % 8:064x}", 224 * n, 0, 224, 0.5, blank) for n in range(32)]
    label_all(store, cases, [CLASSES[n % 2] for n in range(32)])
    labels = read_labels(store, "tile", CLASSES)
    whole = folds_of(labels, 4, 1, "slide")
    assert whole.kept_whole == "slide"
    assert pd.Series(whole.fold).groupby(whole.group).nunique().max() == 1
    assert set(whole.fold) == {0, 1, 2, 3}
    apart = folds_of(labels, 16, 1, "slide")
    assert "too few slides" in apart.kept_whole
    assert len(set(apart.group)) == 32
    one = labels.without([f"{n:064x}" for n in range(1, 8)], "elsewhere")
    assert one.left_out == {"elsewhere": 28}
    assert len(one.events) == len(one) == 4


def test_a_bundle_whose_lineage_names_a_file_that_is_not_there_is_refused(made: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(made, copy)
    (copy / "slide/label-events.csv").unlink()
    with pytest.raises(BundleError, match=r"label-events.csv is missing"):
        load_bundle(copy, device="cpu")
