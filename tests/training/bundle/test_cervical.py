"""One command from an archive's list of cervical slides to a proven candidate: foreseen, resumed, and honest about itself."""

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cervix.bundle import Bundle, load_bundle, verify_bundle
from cervix.promotion.comparison import compare_bundles
from cervix.retraining.log import LogLine
from cervix.settings import PROJECT_ROOT
from cervix.slides.pyramid import write_pyramid
from tests.file_server import Archive

pytestmark = [pytest.mark.training, pytest.mark.usefixtures("no_proxy")]
pytest.importorskip("tensorflow", reason="training needs TensorFlow, which the app's environment has not")

from tests.training.recipes import recipe_with  # noqa: E402
from training import cli as training_cli  # noqa: E402
from training.bundle.cervical import estimate  # noqa: E402
from training.cli import RECIPES_DIR, main  # noqa: E402
from training.data.tissue.collecting import ListedSlide, SlideManifest  # noqa: E402

SCC, AC, MIXED = "Squamous cell carcinoma, NOS", "Adenocarcinoma, endocervical type", "Adenosquamous carcinoma"
RECIPE = tomllib.loads((RECIPES_DIR / "cervix.toml").read_text(encoding="utf-8"))
SIDE_TILES, TILE_PX = 3, 224
PATIENTS = 6


@pytest.fixture
def slides(archive: Archive, data_dir: Path, bundle: Bundle, tmp_path: Path) -> Archive:
    """Six patients of two classes with a slide each, made of real tiles that the model was not tested on, and one left out."""
    index = pd.read_csv(data_dir / "tiles/lc25000_lung/index.csv")
    tested = pd.read_parquet(bundle.root / "slide/predictions.parquet")["case"]
    index = index[~index["path"].isin(tested)]
    for number in range(PATIENTS):
        label, term = (("lung_scc", SCC), ("lung_aca", AC))[number % 2]
        first = number // 2 * SIDE_TILES**2
        paths = index.loc[index["label"] == label, "path"].iloc[first : first + SIDE_TILES**2]
        tiles = np.stack([np.asarray(Image.open(data_dir / "tiles/lc25000_lung" / path).convert("RGB")) for path in paths])
        rows = tiles.reshape(SIDE_TILES, SIDE_TILES, TILE_PX, TILE_PX, 3).transpose(0, 2, 1, 3, 4)
        write_pyramid(tmp_path / "made.tiff", rows.reshape(SIDE_TILES * TILE_PX, SIDE_TILES * TILE_PX, 3), 0.5)
        archive.add(f"TCGA-AA-000{number}", term, content=(tmp_path / "made.tiff").read_bytes())
    archive.add("TCGA-AA-0009", MIXED)
    return archive


@pytest.fixture
def ordered(archive: Archive, bundle: Bundle, tmp_path: Path) -> list[str]:
    """The command for slides of the local server; ``work`` and ``candidates`` are under the test's folder."""
    folders = ["--out", str(tmp_path / "work"), "--candidates", str(tmp_path / "candidates")]
    return ["cervix", "--gdc", archive.address, "--idc", archive.address, "--parent", str(bundle.root), *folders]


def test_the_estimate_comes_first_and_fetches_nothing(
    archive: Archive, ordered: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive.add("TCGA-AA-0001", SCC, size=1_000_000)
    archive.add("TCGA-AA-0002", AC, size=2_000_000)
    assert main([*ordered, "--from", "gdc", "--limit", "2"]) == 0
    told = capsys.readouterr().out
    assert "2 slides of 2 patients; 0.00 GB to fetch" in told
    assert "time: at most about" in told
    assert "Go on with --yes" in told
    assert archive.downloads() == []
    assert not (tmp_path / "candidates").exists()


def test_a_choice_without_both_classes_is_refused_before_anything_is_fetched(
    archive: Archive, ordered: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    archive.add("TCGA-AA-0001", SCC)
    archive.add("TCGA-AA-0002", AC)
    assert main([*ordered, "--from", "gdc", "--limit", "1", "--yes"]) == 1
    assert "There is no slide of a class: expected scc and ac; found no ac." in capsys.readouterr().err
    assert archive.downloads() == []


def test_time_and_disk_are_foreseen_from_sizes_and_speeds(tmp_path: Path) -> None:
    speed = {"download_mb_s": 2.0, "cut_tiles_s": 10.0, "features_tiles_s": 20.0, "fit_tiles_s": 100.0, "tile_kb": 50.0}
    recipe = {"speed": speed, "tiles": {"cap_per_slide": 100}, "slide": {"epochs": 2, "folds": 4}}
    listed = tuple(ListedSlide(str(n), "", 300_000_000, "", f"patient {n // 2}", "", "scc", "") for n in range(4))
    found = estimate(SlideManifest(listed, (), tmp_path / "manifest.csv"), 720_000_000, 600, recipe)
    assert (found.slides, found.patients, found.fetch_gb) == (4, 2, 0.72)
    assert found.disk_gb == pytest.approx(1.2 + 400 * 50e-6)
    assert found.hours == pytest.approx(
        {"fetching at 2 MB/s": 360 / 3600, "cutting": 40 / 3600, "features": 20 / 3600, "fitting": 10 * 1000 / 100 / 3600}
    )


def test_the_phrases_that_become_untrue_stand_in_the_recipe_of_the_parent() -> None:
    told = tomllib.loads((RECIPES_DIR / "shipped.toml").read_text(encoding="utf-8"))["manifest"]
    sentences = [*told["limits"], *told["intended_use"]]
    for phrase in RECIPE["manifest"]["untrue_phrases"]:
        assert sum(phrase in text for text in sentences) == 1


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_in_a_candidate_that_says_what_it_learned_from(
    slides: Archive, ordered: list[str], bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [*ordered, "--from", "gdc", "--yes"]
    with subprocess.Popen(
        [sys.executable, "-m", "training", "--json", *command], cwd=PROJECT_ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        told = (LogLine.model_validate_json(line) for line in process.stdout if line.startswith("{"))
        assert any("features of slide 3 of 6" in line.message for line in told)
        process.kill()
    assert not (tmp_path / "candidates").exists()

    assert main(command) == 0
    log = capsys.readouterr().out
    assert sorted(slides.downloads()) == sorted(record["file_id"] for record in slides.records[:PATIENTS])
    assert log.count("finished before, read back") >= 2
    (folder,) = (tmp_path / "candidates").iterdir()
    assert all(check.passed for check in verify_bundle(folder, device="cpu"))

    candidate = load_bundle(folder, device="cpu")
    model, before = candidate.manifest.model("slide"), bundle.manifest.model("slide")
    cervical = model.training_data[-1]
    assert model.training_data[:-1] == before.training_data
    assert (cervical.name, cervical.groups) == ("TCGA-CESC, cervix", {"train": PATIENTS})
    assert cervical.citation.startswith("The results are based upon data generated by the TCGA Research Network")
    assert model.limits[: len(RECIPE["manifest"]["limits"])] == RECIPE["manifest"]["limits"]
    assert not [text for text in model.limits for phrase in RECIPE["manifest"]["untrue_phrases"] if phrase in text]
    assert model.saw_cervix
    assert not before.saw_cervix
    assert "TCGA-CESC, cervix" in (folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert model.lineage is not None
    assert model.lineage.folds_by == "patient"
    judged = pd.read_parquet(folder / model.lineage.new_cases)
    assert set(judged["group"]) == {f"TCGA-AA-000{number}" for number in range(PATIENTS)}
    (compared,) = compare_bundles(bundle, candidate).changed
    assert compared.new_cases["scc-versus-ac"].n == len(judged) >= PATIENTS * SIDE_TILES

    assert main(command) == 0
    assert f"the candidate is there already: {folder}" in capsys.readouterr().out
    assert len(slides.downloads()) == PATIENTS


@pytest.mark.slow
def test_dicom_series_go_the_same_way(
    archive: Archive, ordered: list[str], cases_dir: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    # How well it learns is not asked here, and the real recipe is that of the run above.
    quick = recipe_with("cervix", tmp_path / "cervix.toml", epochs=1, train_tiles=400)
    monkeypatch.setattr(training_cli, "_path_of", lambda _: quick)
    series: list[dict[str, bytes]] = []
    for name in ("dicom_macos", "two_dicom_one_folder"):
        with zipfile.ZipFile(cases_dir / f"slides/{name}.zip") as packed:
            files = {
                Path(entry).name: packed.read(entry) for entry in packed.namelist() if not Path(entry).name.startswith(".")
            }
        series.append({name: content for name, content in files.items() if not any(name in other for other in series)})
    rows = []
    for number, (term, files) in enumerate(zip((SCC, AC), series, strict=True)):
        patient = f"TCGA-AA-000{number}"
        archive.add(patient, term)
        folder = archive.add_series(files)
        rows.append((patient, "FFPE HE TP DX1", folder, "idc-open-data", sum(map(len, files.values())) / 1e6, len(files)))
    columns = ["PatientID", "SeriesDescription", "crdc_series_uuid", "aws_bucket", "series_size_MB", "instanceCount"]
    pd.DataFrame(rows, columns=columns).to_csv(tmp_path / "addresses.csv", index=False)
    assert main([*ordered, "--from", "idc", "--addresses", str(tmp_path / "addresses.csv"), "--yes"]) == 0, capsys.readouterr()
    (folder,) = (tmp_path / "candidates").iterdir()
    model = load_bundle(folder, device="cpu").manifest.model("slide")
    assert model.training_data[-1].licence == "CC BY 3.0"
    assert model.training_data[-1].groups == {"train": 2}
    assert set(model.training_data[-1].counts["train"]) == {"scc", "ac"}
