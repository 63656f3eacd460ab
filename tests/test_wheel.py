"""The wheel: the library and its command, used from another folder than the checkout."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from cervix import __version__
from cervix.settings import PROJECT_ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of what goes into it, so that nothing is left in the checkout."""
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "requirements.txt", "README.md", "LICENSE", "cervix"):
        (source / name).symlink_to(PROJECT_ROOT / name)
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "-w",
        str(built),
        str(source),
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    (path,) = built.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def unpacked(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(place)
    return place


def used(unpacked: Path, at: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Python with the unpacked wheel and the libraries of this environment, in a folder that knows no checkout."""
    environment = {**os.environ, "PYTHONPATH": str(unpacked), "CERVIX_HOME": str(at / "home")}
    environment.pop("CERVIX_BUNDLE_DIR", None)
    return subprocess.run(
        [sys.executable, "-P", *arguments], cwd=at, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def test_it_holds_the_library_with_its_types_and_neither_pages_nor_trainer(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    tops = {name.split("/")[0] for name in names}
    assert tops == {"cervix", f"cervix_workbench-{__version__}.dist-info"}
    assert {"cervix/py.typed", "cervix/card/guidelines.toml", "cervix/sandbox/candidate.zip"} <= set(names)
    assert {path.relative_to(PROJECT_ROOT).as_posix() for path in (PROJECT_ROOT / "cervix").rglob("*.py")} <= set(names)


def test_the_command_scores_a_table_with_a_bundle_that_is_named(unpacked: Path, bundle_root: Path, tmp_path: Path) -> None:
    made = used(unpacked, tmp_path, "-c", "from cervix.patients.sample import sample_table_csv; print(sample_table_csv(3))")
    (tmp_path / "table.csv").write_text(made.stdout.strip() + "\n", encoding="utf-8")
    run = used(
        unpacked,
        tmp_path,
        "-m",
        "cervix",
        "patients",
        "table.csv",
        "--out",
        "risks.csv",
        "--bundle",
        str(bundle_root),
    )
    assert run.returncode == 0, run.stderr
    assert "3 patients scored" in run.stdout
    where = used(unpacked, tmp_path, "-c", "import cervix; print(cervix.__file__)").stdout
    assert where.startswith(str(unpacked))


def test_without_a_bundle_the_command_says_how_to_name_one(unpacked: Path, tmp_path: Path) -> None:
    run = used(unpacked, tmp_path, "-m", "cervix", "bundle", "verify")
    assert run.returncode == 1
    assert "CERVIX_BUNDLE_DIR" in run.stderr
    assert "Traceback" not in run.stderr


def test_the_command_tells_its_version(unpacked: Path, tmp_path: Path) -> None:
    assert used(unpacked, tmp_path, "-m", "cervix", "--version").stdout.strip() == f"cervix {__version__}"
