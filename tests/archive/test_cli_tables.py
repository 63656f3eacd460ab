"""``python -m cervix archive score`` for tables: told apart from slides, scored whole, said in words."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cervix.archive.tables.parts import are_tables
from cervix.cli import main
from cervix.errors import ArchiveRunRefused
from cervix.patients.visit_sample import sample_visits_csv

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def own_signals() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_tables_and_slides_are_told_apart_and_not_mixed(tmp_path: Path) -> None:
    visits, slides, lists = (tmp_path / name for name in ("visits", "slides", "slides.csv"))
    visits.mkdir()
    (visits / "a.csv").write_text(sample_visits_csv(3))
    slides.mkdir()
    (slides / "one.svs").write_bytes(b"slide")
    lists.write_text("path,site\nslides/one.svs,North\n")

    assert are_tables([str(visits), str(visits / "a.csv"), "s3://bucket/part.parquet"])
    assert not are_tables([str(slides), str(lists), "s3://bucket/prefix", "dicomweb:?Modality=SM"])
    with pytest.raises(ArchiveRunRefused, match="others are tables"):
        are_tables([str(visits), str(slides)])
    (visits / "two.svs").write_bytes(b"slide")
    with pytest.raises(ArchiveRunRefused, match="slides and tables"):
        are_tables([str(visits)])


@pytest.mark.usefixtures("own_signals")
def test_the_command_scores_a_table_and_a_second_one_does_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    visits, out = tmp_path / "visits.csv", tmp_path / "out"
    visits.write_text(sample_visits_csv(30))
    assert main(["archive", "score", str(visits), "--out", str(out), "--workers", "1"]) == 0
    printed = capsys.readouterr().out
    assert "30 women scored with history" in printed
    assert "not a medical device" in printed.lower()
    made = {path: path.stat().st_ino for path in (out / "scores").iterdir()}

    assert main(["archive", "score", "--out", str(out)]) == 0
    assert {path: path.stat().st_ino for path in (out / "scores").iterdir()} == made
    assert pq.read_table(out / "scores").num_rows == 30
    assert main(["archive", "score", str(visits), "--out", str(out), "--triage"]) == 1
    for path in (out, *out.rglob("*")):
        assert path.stat().st_mode & 0o077 == 0, "this user's alone"
