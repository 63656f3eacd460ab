"""The page on bringing a model, where it is of women: its commands run as they are printed, its lists are those of the code."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from cervix.settings import PROJECT_ROOT, get_settings
from tests.training.wrap.test_page import PAGE, PROGRAMS, WOMEN
from training.wrap.women.summaries import SUMMARIES

END_OF_COMMANDS = "## The two files"


def commands() -> list[str]:
    page = PAGE.read_text(encoding="utf-8")
    return re.findall(r"```bash\n(.*?)```", page[page.index(WOMEN) : page.index(END_OF_COMMANDS)], re.S)


def test_it_names_every_summary() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for what in SUMMARIES:
        assert f"`{what}`" in page


@pytest.mark.slow
@pytest.mark.training
def test_its_commands_run_as_they_are_printed(tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for room in ("cervix", "training"):
        (tmp_path / room).symlink_to(PROJECT_ROOT / room)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CERVIX_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CERVIX_DEVICE", "cpu")
    monkeypatch.setenv("CERVIX_DATA", str(data_dir))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    for command in commands():
        if "<<" in command:
            done = subprocess.run(["bash", "-e", "-c", command], capture_output=True, text=True, timeout=300)
            assert done.returncode == 0, done.stderr[-2000:]
            continue
        for line in command.splitlines():
            words = shlex.split(line)
            get_settings.cache_clear()
            assert PROGRAMS[words[2]](words[3:]) == 0, line
    get_settings.cache_clear()
    assert pd.read_csv("own/risks.csv")["risk"].between(0, 1).any()
    for bundle, nature in (("forest", "real"), ("boosting", "simulated")):
        manifest = Path(f"own/bundle-of-{bundle}/manifest.json").read_text(encoding="utf-8")
        assert set(re.findall(r'"nature": "(\w+)"', manifest)) == {nature}, "made-up women are never called real"
    assert pd.read_csv("own/risks-of-visits.csv")["risk_drawn"].between(0, 1).any()
