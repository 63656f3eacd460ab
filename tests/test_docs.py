"""Code in the documentation runs as it stands there, and every file that it names exists."""

import re
from pathlib import Path

import pytest

from cervix.settings import PROJECT_ROOT

PAGES = sorted(
    page for page in [*PROJECT_ROOT.glob("*.md"), *PROJECT_ROOT.glob("docs/**/*.md")] if page.name != "CHANGELOG.md"
)  # what has changed names what is gone
THEIRS = {".streamlit/secrets.toml"}
"""Files that people write themselves."""


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


def test_every_path_that_a_page_names_exists() -> None:
    rooms = {path.name for path in PROJECT_ROOT.iterdir()}
    modules = {path.name for room in ("cervix", "pages", "training", "tests") for path in (PROJECT_ROOT / room).rglob("*.py")}
    missing = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        words = {word for code in re.findall(r"`([^`]+)`", text) for word in re.findall(r"[\w.-]+(?:/[\w.-]+)*", code)} - THEIRS
        missing += [(page.name, word) for word in words if not _is_there(word, rooms, modules)]
        links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
        missing += [(page.name, link) for link in links if not (page.parent / link).exists()]
    assert missing == []


def _is_there(word: str, rooms: set[str], modules: set[str]) -> bool:
    """Whether a word exists as a path, if it is one: it begins with a folder of ours, or is a module's file name alone."""
    if "/" not in word:
        return not word.endswith(".py") or word in modules or word in rooms
    return word.split("/")[0] not in rooms or (PROJECT_ROOT / word).exists()


def test_the_architecture_page_lists_every_room() -> None:
    text = (PROJECT_ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    named = set(re.findall(r"[\w.-]+", text.split("## Rooms")[1].split("## ")[0]))
    packages = [path.parent for room in ("cervix", "training") for path in (PROJECT_ROOT / room).rglob("__init__.py")]
    modules = [path for path in (PROJECT_ROOT / "cervix").glob("*.py") if not path.stem.startswith("__")]
    rooms = {package.name for package in packages if "migrations" not in package.parts} | {path.name for path in modules}
    assert rooms - named == set()


def test_every_decision_is_in_the_index_under_its_own_title() -> None:
    folder = PROJECT_ROOT / "docs/adr"
    index = (folder / "README.md").read_text(encoding="utf-8")
    for record in sorted(folder.glob("0*.md")):
        number, title = re.match(r"# (\d{4})\. (.+)", record.read_text(encoding="utf-8")).groups()
        assert record.name.startswith(number)
        assert f"| [{number}]({record.name}) | {title} |" in index


def test_every_word_of_the_glossary_has_one_entry() -> None:
    text = (PROJECT_ROOT / "docs/glossary.md").read_text(encoding="utf-8")
    words = re.findall(r"^\| \*\*(.+?)\*\* \|", text, re.MULTILINE)
    assert len(words) > 50
    assert sorted(words) == sorted(set(words))
