"""What CONTRIBUTING.md says to touch exists, and what it says to run is there."""

import re
import shlex

from cervix.settings import PROJECT_ROOT

ROWS_AT_LEAST = 25


def rows() -> list[tuple[str, str, str]]:
    """What is changed, what is touched, what is run: of each row of the table."""
    text = (PROJECT_ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    found = re.findall(r"^\| (.+?) \| (.+?) \| `([^`|]+)` \|$", text, re.MULTILINE)
    assert len(found) >= ROWS_AT_LEAST
    assert len(found) == len(re.findall(r"^\| (?!to change|---)", text, re.MULTILINE)), "a row has another form"
    return found


def test_every_file_to_touch_exists_and_every_row_names_one() -> None:
    for change, touched, _ in rows():
        paths = re.findall(r"`([\w./-]*/[\w./-]*|[\w-]+\.(?:toml|txt|md|py))`", touched)
        assert paths or "constant" in touched, change
        for path in paths:
            assert (PROJECT_ROOT / path).exists(), f"{change}: {path}"


def test_every_test_to_run_is_there_and_every_other_command_is_ours() -> None:
    """Whether they can be collected, the suite itself shows: it collects them all."""
    for change, _, command in rows():
        first, *rest = shlex.split(command)
        if first != "pytest":
            assert command in ("lint-imports", "python -m benchmarks --help"), change
        for target in (word for word in rest if first == "pytest" and not word.startswith("-")):
            path, _, name = target.partition("::")
            assert path.startswith("tests/")
            there = PROJECT_ROOT / path
            files = sorted(there.glob("test_*.py")) if there.is_dir() else [there]
            text = "".join(file.read_text(encoding="utf-8") for file in files)
            tests = re.findall(r"^ *def (test_\w+)", text, re.MULTILINE)
            assert tests, f"{change}: {target}"
            assert not name or name in tests, f"{change}: {target}"
