"""Nothing leaves this machine unasked, and no library keeps notes about its user."""

import sys
from pathlib import Path

import pytest

from cervix.patients.visit_sample import sample_visits_csv
from cervix.settings import PROJECT_ROOT
from tests.watched import Watched, needs_strace, watched

pytestmark = [needs_strace, pytest.mark.slow]

# What libraries keep for themselves and tell nobody: matplotlib's list of the fonts here, Keras's settings.
CACHES = (".cache/matplotlib/", ".keras/keras.json")
# ONNX Runtime's telemetry asks for its collector within some seconds of the first session.
SCORE = """
import sys, time
from cervix.cli import main
slide, table, out = sys.argv[1:]
assert main(["slide", slide, "--out", out]) == 0
assert main(["patients", table, "--out", out + "/women.csv"]) == 0
time.sleep(4)
"""
IMPORT_ALL = """
import importlib, pkgutil, sys
for name in sys.argv[1:]:
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(package.__path__, name + "."):
        if not module.name.endswith("__main__") and "migrations" not in module.name:
            importlib.import_module(module.name)
"""
# The image listens on every address and has nobody in front of a terminal; then Streamlit asks a web service for its own.
BANNER = """
import sys
from streamlit import config
from streamlit.web import bootstrap
config._main_script_path = sys.argv[1]
config.get_config_options(options_from_flags={"server.address": "0.0.0.0", "server.headless": True})
bootstrap._print_url(False)
"""


def run(code: str, folder: Path, *arguments: object) -> Watched:
    return watched([sys.executable, "-P", "-c", code, *map(str, arguments)], folder / "run")


def test_the_witness_sees_native_code_ask_for_a_name(tmp_path: Path) -> None:
    code = "import ctypes as c; c.CDLL(None).getaddrinfo(b'collector.invalid', b'443', None, c.byref(c.c_void_p()))"
    assert run(code, tmp_path).asked()


def test_the_witness_sees_what_a_library_keeps_about_its_user(tmp_path: Path) -> None:
    assert ".cache/Microsoft/DeveloperTools/.onnxruntime/deviceid" in run("import onnxruntime", tmp_path).left()


def test_scoring_a_slide_and_a_history_asks_nobody_and_leaves_its_own_files_only(phantom_slide: Path, tmp_path: Path) -> None:
    table = tmp_path / "visits.csv"
    table.write_text(sample_visits_csv(3), encoding="utf-8")
    seen = run(SCORE, tmp_path, phantom_slide, table, tmp_path / "out")
    assert (tmp_path / "out/women.csv").is_file()
    assert seen.asked() == set()
    assert seen.left() == set()


@pytest.mark.parametrize("package", ["cervix", "training", "benchmarks"])
def test_each_package_silences_onnx_runtime_before_it_is_loaded(package: str, tmp_path: Path) -> None:
    assert run(f"import {package}, onnxruntime", tmp_path).left() == set()


@pytest.mark.training
def test_no_module_asks_anybody_when_it_is_imported(tmp_path: Path) -> None:
    seen = run(IMPORT_ALL, tmp_path, "training", "cervix")
    assert seen.asked() == set()
    assert {file for file in seen.left() if not file.startswith(CACHES)} == set()


def test_the_server_does_not_ask_the_internet_where_it_is(tmp_path: Path) -> None:
    assert run(BANNER, tmp_path, PROJECT_ROOT / "streamlit_app.py").asked() == set()
