"""The page on bringing a model: its commands run as they are printed, and its limits are those of the code."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import onnx
import pytest

import cervix.cli
import training.cli
from cervix.settings import PROJECT_ROOT, get_settings
from training.wrap.tile_model import EMBEDDING_AT_MOST

PAGE = PROJECT_ROOT / "docs/bring-your-own-model.md"
WOMEN = "## A scikit-learn pipeline"
"""Where the page goes on with models of women, whose commands ``women/test_page.py`` runs."""
PROGRAMS = {"cervix": cervix.cli.main, "training": training.cli.main}
SAVED_MODEL = """
from training.wrap.keras_file import write_onnx
model.export("own/saved", verbose=False)
write_onnx("own/saved", "own/saved.onnx", SIZE_PX, "NHWC")
END
"""
"""What the test adds to the first command, while TensorFlow is loaded: the same model as a SavedModel."""


def test_its_limits_are_those_of_the_code() -> None:
    assert f"{EMBEDDING_AT_MOST:,} features" in PAGE.read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.training
def test_its_commands_run_as_they_are_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of_tiles = PAGE.read_text(encoding="utf-8").split(WOMEN)[0]
    first, second, *others = re.findall(r"```bash\n(.*?)```", of_tiles, re.S)
    for room in ("cervix", "training"):
        (tmp_path / room).symlink_to(PROJECT_ROOT / room)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CERVIX_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CERVIX_DEVICE", "cpu")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    monkeypatch.setenv("PATH", path)
    for command in (first.replace("\nEND\n", SAVED_MODEL), second):
        done = subprocess.run(["bash", "-e", "-c", command], capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-2000:]
    for line in "".join(others).splitlines():
        *variables, _, _, program = (words := shlex.split(line))[: words.index("-m") + 2]
        for name, value in (variable.split("=") for variable in variables):
            monkeypatch.setenv(name, value)
        get_settings.cache_clear()
        assert PROGRAMS[program](words[words.index(program) + 1 :]) == 0, line
    get_settings.cache_clear()
    assert list(Path("own/scored").iterdir())
    assert onnx.load("own/saved.onnx").graph.node[-1].op_type == "Softmax"
