"""What the documentation shows as code runs as it stands there."""

import re
from pathlib import Path

import pytest

from cervix.settings import PROJECT_ROOT


def test_the_page_on_working_without_the_app_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT_ROOT)
    text = (PROJECT_ROOT / "docs/without-the-app.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 3
    names: dict[str, object] = {"folder": tmp_path}
    for block in blocks:
        exec(block, names)
    assert '"RiskAssessment"' in str(names["document"])
    assert (tmp_path / "slide-qupath.geojson").is_file()
