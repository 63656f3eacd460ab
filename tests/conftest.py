"""Fixtures shared by every test: the data folder, bundles made and shipped, a home of its own, small generated slides."""

import multiprocessing
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from multiprocessing.context import ForkServerContext
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    # Threads that wait by spinning take the processors from the tests beside them: whole trainings then last ten times as long.
    os.environ |= {"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}

from cervix.bundle import Bundle
from cervix.patients.golden import prove_bundle
from cervix.settings import PROJECT_ROOT, get_settings
from cervix.slides.phantom import PHANTOM_SPACING_UM_PX, phantom_region
from cervix.slides.pyramid import write_pyramid
from cervix.slides.scoring import SlideScore, score_slide
from cervix.sources.opening import open_slide
from tests.bundle.altered import without_figures
from tests.bundle.made import (
    SHIPPED_CLASSES,
    class_of,
    write_bundle,
    write_head_bundle,
    write_slide,
    write_tile_bundle,
    write_two_histories,
)
from tests.bundle.made.tiles import SPACING_UM_PX, TILE_PX, centres_rgb, tissue_of
from tests.bundle.published import published_table, write_published_bundle
from tests.dicom_slides import converted
from tests.file_server import Archive, serving
from tests.orthanc import Orthanc, running

DATA_VARIABLE = "CERVIX_DATA"
CASES_VARIABLE = "CERVIX_CASES"
LONGEST = (
    "training/slide/test_recipe.py", "training/bundle/test_cervical.py", "training/bundle/test_candidate.py",
    "training/slide/test_generate.py", "test_shipped_bundle.py", "training/data/cohort/test_files.py",
    "archive/test_ray_engine.py", "browser/test_label_loop.py", "browser/test_slides.py", "browser/test_tour.py",
    "training/risk_factors/test_recipe.py", "training/history/test_recipe.py", "labels/store/test_faults.py",
    "interop/test_fhir_definitions.py",
)  # fmt: skip
"""Files whose slow tests take more than a minute in all, in the order of their time."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In the slow lane the longest files go first, then those with few tests: a long one at the end keeps all waiting."""
    if config.getoption("markexpr") == "slow":
        tests = Counter(item.path for item in items)
        longest = {PROJECT_ROOT / "tests" / file: place for place, file in enumerate(LONGEST)}
        items.sort(key=lambda item: (longest.get(item.path, len(LONGEST)), tests[item.path], item.path))


@pytest.fixture(autouse=True)
def _own_main() -> Iterator[None]:
    """A page that is run from a test takes the place of the main module; whatever spawns a process would run it there again."""
    before = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = before


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The real slides, tiles and tables; tests that need them are skipped where they are not at hand."""
    folder = os.environ.get(DATA_VARIABLE)
    if not folder:
        pytest.skip(f"{DATA_VARIABLE} is not set; it names the folder with real slides, tiles and tables")
    return Path(folder)


@pytest.fixture(scope="session")
def cases_dir() -> Path:
    """Small inputs that went wrong once; tests that need them are skipped where they are not at hand."""
    folder = os.environ.get(CASES_VARIABLE)
    if not folder:
        pytest.skip(f"{CASES_VARIABLE} is not set; it names the folder with small inputs that went wrong once")
    return Path(folder)


@pytest.fixture(scope="session")
def bundle_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small bundle with a model of every kind (``tests.bundle.made``); nobody changes it."""
    return write_bundle(tmp_path_factory.mktemp("made") / "bundle")


@pytest.fixture(scope="session")
def bundle(bundle_root: Path) -> Bundle:
    """The same, proved, on the CPU: what every test uses whose subject is not the committed bundle."""
    return prove_bundle(bundle_root, device="cpu")


@pytest.fixture(scope="session")
def published_root(bundle_root: Path, data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the same, whose history model is held against the published risks."""
    return write_published_bundle(bundle_root, tmp_path_factory.mktemp("published") / "bundle", published_table(data_dir))


@pytest.fixture(scope="session")
def published_bundle(published_root: Path) -> Bundle:
    """The same, proved."""
    return prove_bundle(published_root, device="cpu")


@pytest.fixture(scope="session")
def unevaluated_root(bundle_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the same, of which nobody measured any model."""
    return without_figures(bundle_root, tmp_path_factory.mktemp("unevaluated") / "bundle")


@pytest.fixture(scope="session")
def unevaluated_bundle(unevaluated_root: Path) -> Bundle:
    """The same, proved."""
    return prove_bundle(unevaluated_root, device="cpu")


@pytest.fixture(scope="session")
def two_histories_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small bundle with two models of visits that are asked the same; nobody changes it."""
    return write_two_histories(tmp_path_factory.mktemp("two-histories") / "bundle")


@pytest.fixture(scope="session")
def shipped_bundle() -> Bundle:
    """The committed bundle, proved, on the CPU."""
    return prove_bundle(PROJECT_ROOT / "bundle", device="cpu")


@pytest.fixture(scope="session")
def four_class_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small bundle whose tile model has four other classes, one of them neither benign nor malignant."""
    return write_tile_bundle(tmp_path_factory.mktemp("four") / "bundle")


@pytest.fixture(scope="session")
def four_class_bundle(four_class_root: Path) -> Bundle:
    """The same, proved."""
    return prove_bundle(four_class_root, device="cpu")


@pytest.fixture(scope="session")
def two_class_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small bundle that knows the first two colours of ``four_class_bundle``; the second is malignant."""
    classes = (class_of("healthy", colour="#009E73"), class_of("tumour", colour="#D55E00", role="malignant"))
    return write_tile_bundle(tmp_path_factory.mktemp("two") / "bundle", classes, "colours-of-two")


@pytest.fixture(scope="session")
def two_class_bundle(two_class_root: Path) -> Bundle:
    """The same, proved."""
    return prove_bundle(two_class_root, device="cpu")


@pytest.fixture(scope="session")
def head_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small bundle of the same tile model and a slide head over its embeddings; nobody changes it."""
    return write_head_bundle(tmp_path_factory.mktemp("head") / "bundle")


@pytest.fixture(scope="session")
def head_bundle(head_root: Path) -> Bundle:
    """The same, proved."""
    return prove_bundle(head_root, device="cpu")


@pytest.fixture(scope="session")
def tumour_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small bundle with a tile model and a molecular one that tell the same kinds apart; nobody changes it."""
    # What fits the made model takes a second to import: only who asks for it waits.
    from tests.bundle.made.tumours import write_tumour_bundle

    return write_tumour_bundle(tmp_path_factory.mktemp("tumours") / "bundle")


@pytest.fixture(scope="session")
def four_class_slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A slide with a quarter of its tiles of each of these classes."""
    path = tmp_path_factory.mktemp("four-slide") / "four.tiff"
    write_slide(path)
    return path


@pytest.fixture
def home(tmp_path: Path, bundle_root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An app home that starts empty, the made bundle, and an app that never asks the network."""
    monkeypatch.setenv("CERVIX_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CERVIX_BUNDLE_DIR", str(bundle_root))
    monkeypatch.setenv("CERVIX_OFFLINE", "1")
    monkeypatch.setenv("CERVIX_DEVICE", "cpu")
    get_settings.cache_clear()
    yield tmp_path / "home"
    get_settings.cache_clear()


@pytest.fixture(scope="session")
def phantom_slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiled pyramid of 1400 x 1100 px at 0.5 µm per pixel."""
    path = tmp_path_factory.mktemp("phantom") / "phantom.tiff"
    write_pyramid(path, phantom_region(1400, 1100, seed=11), PHANTOM_SPACING_UM_PX)
    return path


@pytest.fixture(scope="session")
def phantom_score(phantom_slide: Path, bundle: Bundle) -> SlideScore:
    """The phantom scored once for every test that looks at a score; nobody changes it."""
    return score_slide(open_slide(phantom_slide), bundle)


@pytest.fixture(scope="session")
def unscaled_slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same kind of slide without a physical scale."""
    path = tmp_path_factory.mktemp("unscaled") / "unscaled.tiff"
    write_pyramid(path, phantom_region(900, 700, seed=12), None)
    return path


@pytest.fixture(scope="session")
def glass_slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A slide with nothing on it but sensor noise."""
    path = tmp_path_factory.mktemp("glass") / "glass.tiff"
    noise = np.random.default_rng(0).normal(242, 1.5, size=(800, 900, 1))
    write_pyramid(path, np.repeat(noise, 3, axis=2).astype(np.uint8), 0.5)
    return path


@pytest.fixture(scope="session")
def carcinoma_slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A slide of 4 x 4 tiles that the made bundle calls squamous-cell carcinoma."""
    path = tmp_path_factory.mktemp("carcinoma") / "carcinoma.tiff"
    write_pyramid(path, tissue_of(centres_rgb(SHIPPED_CLASSES)[1], 4 * TILE_PX, 4 * TILE_PX), SPACING_UM_PX)
    return path


@pytest.fixture(scope="session")
def cmu_dicom(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of CMU-1-Small-Region as a DICOM series of five files, of the patient in ``tests.dicom_slides``; nobody
    changes it."""
    return converted(data_dir / "slides/CMU-1-Small-Region.svs", tmp_path_factory.mktemp("cmu-dicom") / "series")


@pytest.fixture
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy of the machine would not find a local server."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")


@pytest.fixture(scope="session")
def started_orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """A real archive, started once."""
    with running(tmp_path_factory.mktemp("orthanc")) as orthanc:
        yield orthanc


@pytest.fixture
def orthanc(started_orthanc: Orthanc, no_proxy: None) -> Iterator[Orthanc]:  # noqa: ARG001 - first of all
    """The same, empty."""
    started_orthanc.clear()
    yield started_orthanc
    started_orthanc.clear()


@pytest.fixture
def archive(no_proxy: None) -> Iterator[Archive]:  # noqa: ARG001 - first of all
    """A local server of files, with faults to order."""
    archive = Archive()
    with serving(archive):
        yield archive


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 200 kB."""
    folder = tmp_path / "small-disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(folder)], capture_output=True).returncode != 0:
        pytest.skip("mounting a small disk needs the rights of root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> ForkServerContext:
    """Processes that start in milliseconds, forked from one that has imported what they need and holds no thread."""
    # Each would run the main module again, and after a test of a page that is the page.
    monkeypatch.setitem(sys.modules, "__main__", ModuleType("__main__"))
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.labels.workers", "tests.bundle.promoters"])
    return context
