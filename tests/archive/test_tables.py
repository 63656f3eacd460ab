"""Tables of any size: the same answers, problems and losses as one table that the page reads; each bucket once."""

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from cervix.archive.tables.ledger import LEDGER_NAME, TablesLedger
from cervix.archive.tables.order import TablesOrder, begun, read_tables_order
from cervix.archive.tables.partition import partition
from cervix.archive.tables.problems import CODES, OLDER, TORN
from cervix.archive.tables.rows import bucket_of
from cervix.archive.tables.run import Asked, score_tables
from cervix.archive.tables.score import Bucket, score_bucket, score_ordered
from cervix.archive.tables.summary import TablesSummary
from cervix.bundle import Bundle
from cervix.bundle.loading import read_manifest
from cervix.bundle.manifest import UNEVALUATED
from cervix.errors import ArchiveRunRefused, BundleError, LostApart, PatientFileError, PatientFileUnclear
from cervix.patients.csv_text import WHOLE_ROW
from cervix.patients.guideline import with_steps
from cervix.patients.history_scoring import score_visits
from cervix.patients.reading import read_patients
from cervix.patients.sample import sample_table_csv
from cervix.patients.scoring import score_patients
from cervix.patients.visit_sample import sample_visits_csv
from cervix.patients.visits import read_visits
from cervix.settings import PROJECT_ROOT, Settings
from tests.bundle.altered import without_figures

TODAY = date(2026, 11, 30)
BUCKETS = 5
PROVENANCE = ["model", "bundle", "bundle_sha256", "app_version", "provider", "scored_at", "notice"]

# What one row alone proves holds for the whole column: the order of day and month, what a comma is, what a minus may mean.
NASTY = "\n".join(
    [
        "patient_id;visit_date;age;cytology;hpv_result;hpv_genotypes;histology;via;remark",
        "A1;03/04/2019;41,5;NILM;neg;;;;x",
        "A1;03/04/2019;41,5;HSIL;neg;;;;same day, another smear",
        "A1;25/12/2021;44,5;négatif;+;16, 53;;;proves the order",
        "B2;05/06/2020;;Pap IIID;-;;CIN3;;",
        "B2;07/08/2021;33;nlim;positive;;;seen;",
        "C3;01/02/2018;30;LSIL;HPV 16;;;;",
        "C3;31/02/2019;31;LSIL;;;;;no such day",
        "C3;;;NILM;;;;;no day and no age",
        "D4;09/09/2030;50;NILM;;;;;to come",
        "Total;;;;17;;;;",
        ";01/01/2020;30;NILM;;;;;nobody's",
        "C3;02/03/2020;32;NILM",
        "E5;04/05/2020;77;ASC-US;?;;;;",
        "E5;04/05/2021;12;ASC-US;?;;;;an age that does not fit",
        '"F6";04/05/2021;40;"NILM";neg;"16',
        '18";;;',
        "G7;06/05/2021;40;quatsch;neg;low risk 6, 11;benign;;",
        *(f"H8;{day:02d}/{month:02d}/{2000 + year};;NILM;;;;;" for year in range(6) for month in range(1, 13) for day in (13,)),
        "",
    ]
).encode("cp1252", "replace")


def cut_and_scored(
    parts: list[bytes], folder: Path, bundle: Bundle, kind: str = "visits", suffix: str = ".csv"
) -> tuple[pd.DataFrame, pd.DataFrame, list[dict[str, Any]]]:
    """Scores and problems of files cut into buckets, and what was told of each file."""
    files, told, work = [], [], folder / "rows"
    work.mkdir()
    for number, content in enumerate(parts, start=1):
        path = folder / f"part-{number}{suffix}"
        path.write_bytes(content)
        one = partition(str(path), number, str(work), BUCKETS, TODAY.isoformat())
        told.append(one)
        files.append((number, work / f"{number:06d}.arrow", one["batches"]))
    for bucket in range(BUCKETS):
        held = tuple(
            (number, path, tuple(np.flatnonzero(np.array(batches) == bucket).tolist())) for number, path, batches in files
        )
        score_bucket(Bucket(bucket, kind, held, folder, bundle.root, "cpu", 1, "", TODAY.isoformat()))
    scores = pq.read_table(folder / "scores").to_pandas()
    tables = [pq.read_table(path) for path in [*sorted((folder / "problems").glob("*")), *sorted(work.glob("*.parquet"))]]
    problems = pd.concat([table.to_pandas() for table in tables], ignore_index=True)
    return scores, problems, told


def one_table(content: bytes, bundle: Bundle) -> tuple[pd.DataFrame, list[tuple[Any, ...]]]:
    table = read_visits(content, today=TODAY)
    session = bundle.session_of("sequence")
    scores = with_steps(score_visits(table, session), table.frame, bundle, session.model, today=TODAY)
    problems = [
        (
            one.row,
            TORN if one.column == WHOLE_ROW else CODES[one.became],
            one.column,
            one.value,
            one.accepted,
            one.meant,
            one.patient,
        )
        for one in table.problems
    ]
    return scores.reset_index(), problems


def same_scores(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    found = found.drop(columns=[*PROVENANCE, "part"]).sort_values("patient_id", ignore_index=True)
    expected = expected.sort_values("patient_id", ignore_index=True)
    found["last_visit"] = found["last_visit"].astype("datetime64[s]")  # Parquet keeps milliseconds
    pd.testing.assert_frame_equal(found, expected, check_dtype=False, check_exact=False, rtol=1e-5)


def same_problems(found: pd.DataFrame, expected: list[tuple[Any, ...]]) -> None:
    columns = ["row", "code", "column", "value", "accepted", "meant", "patient_id"]
    of_page = found[found["code"] != OLDER]
    assert sorted(of_page[columns].itertuples(index=False, name=None)) == sorted(expected)


@pytest.mark.parametrize("segment", [7, 100_000])
def test_a_nasty_file_gives_what_the_page_gives(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, segment: int
) -> None:
    monkeypatch.setattr("cervix.sources.tables.large.LINES_A_SEGMENT", segment)
    scores, problems, _ = cut_and_scored([NASTY], tmp_path, bundle)
    expected, found = one_table(NASTY, bundle)

    assert {"A1", "B2", "C3", "E5", "G7", "H8"} <= set(expected["patient_id"])
    same_scores(scores, expected)
    same_problems(problems, found)
    # The page says of these only how many they are.
    assert len(problems[problems["code"] == OLDER]) == 12


def test_a_woman_in_two_files_is_one_woman(bundle: Bundle, tmp_path: Path) -> None:
    header, *rows = sample_visits_csv(60).splitlines(keepends=True)
    whole = (header + "".join(rows)).encode()
    halves = [(header + "".join(rows[start::2])).encode() for start in (0, 1)]
    scores, _, _ = cut_and_scored(halves, tmp_path, bundle)
    expected, _ = one_table(whole, bundle)

    same_scores(scores.drop(columns="row"), expected.drop(columns="row"))


def test_files_of_other_columns_and_languages_are_read_each_by_itself(bundle: Bundle, tmp_path: Path) -> None:
    english = b"patient_id,visit_date,cytology\nW1,2020-01-31,NILM\nW1,01/02/2021,LSIL\nW1,13/02/2022,NILM\n"
    german = (
        "Patienten-ID;Untersuchungsdatum;Zytologie;Farbe\nW1;31.12.2023;III D1;rot\nW2;01.12.2023;unauffällig;blau\n".encode(
            "cp1252"
        )
    )
    scores, problems, told = cut_and_scored([english, german], tmp_path, bundle)

    assert dict(zip(scores["patient_id"], scores["visits"], strict=True)) == {"W1": 4, "W2": 1}
    assert not len(problems)
    assert any("Windows-1252" in notice for notice in told[1]["notices"])
    assert any("Columns not used" in notice for notice in told[1]["notices"])


def test_parquet_is_read_as_the_same_table_in_text(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = pd.read_csv(io.StringIO(sample_visits_csv(60)))
    frame["visit_date"] = pd.to_datetime(frame["visit_date"]) + pd.Timedelta("8h15min")
    content = io.BytesIO()
    frame.to_parquet(content)
    monkeypatch.setattr("cervix.sources.tables.large.ROWS_A_BATCH", 50)
    scores, problems, _ = cut_and_scored([content.getvalue()], tmp_path, bundle, suffix=".parquet")
    expected, found = one_table(sample_visits_csv(60).encode(), bundle)

    same_scores(scores, expected)
    same_problems(problems, found)


def test_rows_that_nothing_is_kept_of_cost_the_file_nothing_else(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cervix.sources.tables.large.LINES_A_SEGMENT", 3)
    nobody = ",2020-01-01,NILM\n"
    content = "patient_id,visit_date,cytology\n" + nobody * 8 + "W1,2020-01-01,HSIL\n" + ",,\n" * 6
    found, problems, _ = cut_and_scored([content.encode()], tmp_path, bundle)
    assert found["patient_id"].tolist() == ["W1"]
    assert len(problems) == 8


def test_a_header_alone_is_said_to_have_no_rows(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(PatientFileError, match="a header but no rows"):
        cut_and_scored([b"patient_id,visit_date,cytology\n"], tmp_path, bundle)


def test_dates_that_the_whole_file_leaves_open_refuse_it(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cervix.sources.tables.large.LINES_A_SEGMENT", 2)
    with pytest.raises(PatientFileUnclear):
        cut_and_scored([b"patient_id,visit_date,cytology\nW1,03/04/2020,NILM\nW2,05/06/2020,NILM\n"], tmp_path, bundle)


def test_risk_factors_give_what_the_page_gives(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    header, *rows = sample_table_csv(40).splitlines(keepends=True)
    rows[3] = rows[3].replace(",", ",x", 1)
    rows += [rows[5], rows[6].replace(",1", ",0", 1), "Mean,30\n"]
    content = (header + "".join(rows)).encode()
    monkeypatch.setattr("cervix.sources.tables.large.LINES_A_SEGMENT", 9)
    found, problems, _ = cut_and_scored([content], tmp_path, bundle, kind="risk-factors")
    table = read_patients(content)
    expected = score_patients(table, bundle.session_of("table")).reset_index()

    found = found.drop(columns=[*PROVENANCE, "part"]).sort_values("row", ignore_index=True)
    pd.testing.assert_frame_equal(found, expected.sort_values("row", ignore_index=True), check_dtype=False, rtol=1e-5)
    assert sorted(zip(problems["row"], problems["column"], strict=True)) == sorted(
        (one.row, one.column) for one in table.problems
    )


@pytest.fixture
def asked(bundle: Bundle, tmp_path: Path) -> Asked:
    source = tmp_path / "visits"
    source.mkdir()
    header, *rows = sample_visits_csv(60).splitlines(keepends=True)
    for number in range(2):
        (source / f"visits-{number}.csv").write_text(header + "".join(rows[number::2]))
    order = TablesOrder(
        sources=[str(source)], bundle_label="made", bundle_sha256=bundle.sha256, today=TODAY.isoformat(), device="cpu"
    )
    return Asked(order, bundle.root, tmp_path / "cache", 10**9)


def one_by_one(buckets: Sequence[Bucket], workers: int, stop: Event) -> Iterator[dict[str, Any]]:
    del workers
    for bucket in buckets:
        if stop.is_set():
            return
        yield score_ordered(bucket.ordered(threads=1))


def run(out: Path, asked: Asked, **more: Any) -> TablesSummary:
    return score_tables(out, asked, Settings(), scored=one_by_one, **more)


@pytest.mark.parametrize("within", ["run", "."])
def test_what_a_run_makes_within_its_own_source_is_no_table_of_it(asked: Asked, within: str) -> None:
    out = Path(asked.order.sources[0], within)
    for _ in range(2):
        assert run(out, asked).files == 2


def test_a_pipe_among_tables_keeps_nobody_waiting(asked: Asked, tmp_path: Path) -> None:
    os.mkfifo(Path(asked.order.sources[0], "visits-2.csv"))
    assert run(tmp_path / "run", asked).files == 2


def test_a_table_whose_name_is_no_text_is_said(asked: Asked, tmp_path: Path) -> None:
    source = Path(asked.order.sources[0])
    (source / "visits-0.csv").rename(os.fsdecode(os.fsencode(source) + b"/visits-\xff.csv"))
    with pytest.raises(ArchiveRunRefused, match="no text"):
        run(tmp_path / "run", asked)


def test_a_file_that_is_no_ledger_is_said(asked: Asked, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / LEDGER_NAME).write_text("no ledger" * 1000)
    with pytest.raises(ArchiveRunRefused, match="cannot be used"):
        run(tmp_path / "run", asked)
    (tmp_path / "run" / LEDGER_NAME).unlink()
    (tmp_path / "run" / LEDGER_NAME).mkdir()
    with pytest.raises(ArchiveRunRefused, match="cannot be used"):
        run(tmp_path / "run", asked)


def test_a_run_says_what_became_of_every_file(asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cervix.archive.tables.run.ROWS_A_BUCKET", 40)
    source = tmp_path / "visits"
    (source / "visits-again.csv").write_bytes((source / "visits-1.csv").read_bytes())
    (source / "visits-broken.csv").write_bytes(b"colour,size\nred,3\n")
    out = tmp_path / "out"
    summary = run(out, asked)

    assert (summary.files, summary.files_done, summary.files_twice, len(summary.refused)) == (4, 2, 1, 1)
    assert summary.women == 60
    assert summary.is_whole
    problems = pd.concat([pq.read_table(path).to_pandas() for path in (out / "problems").iterdir()])
    assert {"file-twice", "file-refused"} <= set(problems["code"])
    scores = pq.read_table(out / "scores").to_pandas()
    assert scores["patient_id"].is_unique
    assert set(PROVENANCE) <= set(scores.columns)
    assert not (out / "rows").exists()


@pytest.mark.parametrize(
    ("unevaluated", "table", "named", "speaks"),
    [
        ("history-boosting", "visits", "history-boosting", "history-boosting"),
        ("history", "risk-factors", "", "risk-factors"),
    ],
)
def test_the_summary_is_that_of_the_model_that_was_asked(
    two_histories_root: Path, tmp_path: Path, unevaluated: str, table: str, named: str, speaks: str
) -> None:
    root = without_figures(two_histories_root, tmp_path / "bundle", of=unevaluated)
    source = tmp_path / f"{table}.csv"
    source.write_text(sample_visits_csv(4) if table == "visits" else sample_table_csv(4))
    order = TablesOrder(
        sources=[str(source)], bundle_label="made", bundle_sha256=read_manifest(root)[1], today=TODAY.isoformat(),
        device="cpu", model=named,
    )  # fmt: skip
    summary = run(tmp_path / "out", Asked(order, root, tmp_path / "cache", 10**9))
    scores = pq.read_table(tmp_path / "out" / "scores")
    assert set(scores["model"].to_pylist()) == {summary.model} == {speaks}
    assert set(scores["notice"].to_pylist()) == {summary.notice}
    assert (UNEVALUATED in summary.notice) == (speaks == unevaluated)


def test_a_model_that_the_bundle_has_not_is_refused_before_anything_is_written(asked: Asked, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no such model"):
        run(tmp_path / "out", replace(asked, order=asked.order.model_copy(update={"model": "histories"})))
    assert read_tables_order(tmp_path / "out") is None
    assert run(tmp_path / "out", asked).women == 60


def test_a_run_that_is_stopped_goes_on_where_it_was(asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cervix.archive.tables.run.ROWS_A_BUCKET", 40)
    out, stop, done = tmp_path / "out", Event(), []

    def progress(what: str, count: int, of: int) -> None:
        done.append((what, count, of))
        if (what, count) == ("buckets", 2):
            stop.set()

    summary = run(out, asked, on_progress=progress, stop=stop)
    assert not summary.is_whole
    kept = {path.name: path.stat().st_mtime_ns for path in (out / "scores").iterdir()}
    done.clear()
    later = replace(asked, order=asked.order.model_copy(update={"today": "2027-01-01"}))
    assert run(out, later, on_progress=progress, stop=Event()).women == 60
    assert ("files", 1, 2) not in done
    assert {name: (out / "scores" / name).stat().st_mtime_ns for name in kept} == kept


def test_a_run_ordered_otherwise_and_two_kinds_of_tables_are_refused(asked: Asked, tmp_path: Path) -> None:
    begun(tmp_path, asked.order)
    with pytest.raises(ArchiveRunRefused, match="otherwise"):
        run(tmp_path, replace(asked, order=asked.order.model_copy(update={"dates": "dmy"})))
    (tmp_path / "visits" / "women.csv").write_text(sample_table_csv(5))
    with pytest.raises(ArchiveRunRefused, match="one row a visit"):
        run(tmp_path / "other", asked)


def test_the_bucket_of_a_woman_is_the_same_in_every_run_and_on_every_machine() -> None:
    """Numbers that were had once: a library that hashes otherwise would part the women of a run that is gone on with."""
    assert bucket_of(np.array(["A1", "B2", "Ö 3", "A1"], object), 1000).tolist() == [670, 797, 639, 670]


def test_files_that_come_or_change_after_women_are_scored_are_refused_and_not_counted_as_scored(
    asked: Asked, tmp_path: Path
) -> None:
    out, source = tmp_path / "out", tmp_path / "visits"
    assert run(out, asked).women == 60
    assert run(out, asked).women == 60, "the same again"
    late = source / "visits-late.csv"
    late.write_bytes((source / "visits-1.csv").read_bytes().replace(b"P", b"Q"))
    for _ in range(2):
        with pytest.raises(ArchiveRunRefused, match=r"other files than this run was begun with.*a new file.*--out"):
            run(out, asked)
    late.unlink()
    with (source / "visits-1.csv").open("ab") as file:
        file.write((source / "visits-0.csv").read_bytes().splitlines(keepends=True)[1])
    with pytest.raises(ArchiveRunRefused, match="a file that was replaced"):
        run(out, asked)


def test_a_process_that_the_system_ends_while_it_scores_is_said(
    asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cervix.archive.tables.run.score_bucket", _end_this_process)
    with pytest.raises(LostApart, match="ended.*fewer --workers"):
        score_tables(tmp_path / "out", asked, Settings())


def _end_this_process(_: Bucket) -> None:
    os._exit(9)


KILLED = """
import sys
from pathlib import Path
from cervix.archive.tables.order import TablesOrder
from cervix.archive.tables.rows import bucket_of
from cervix.archive.tables.run import Asked, score_tables
from cervix.settings import Settings
import cervix.archive.tables.run as run
run.ROWS_A_BUCKET = 10
if __name__ == "__main__":
    out, root, order = Path(sys.argv[1]), Path(sys.argv[2]), TablesOrder.model_validate_json(sys.argv[3])
    asked = Asked(order, root, out / "cache", 10**9, 1)
    score_tables(out, asked, Settings(), on_progress=lambda *told: print(*told, flush=True))
"""


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_scores_every_woman_once(asked: Asked, tmp_path: Path) -> None:
    out, program = tmp_path / "out", tmp_path / "killed.py"
    program.write_text(KILLED)
    arguments = [sys.executable, str(program), str(out), str(asked.bundle_root), asked.order.model_dump_json()]
    for after in ("files 1 2", "buckets 1 ", "buckets 4 "):
        with subprocess.Popen(
            arguments,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(PROJECT_ROOT)},
            start_new_session=True,
        ) as process:
            assert process.stdout is not None
            assert any(line.startswith(after) for line in process.stdout), after
            os.killpg(process.pid, signal.SIGKILL)
        time.sleep(0.1)
    summary = run(out, asked)

    assert summary.is_whole
    assert summary.women == 60
    scores = pq.read_table(out / "scores").to_pandas()
    assert scores["patient_id"].is_unique
    assert len(scores) == 60
    with TablesLedger(out / LEDGER_NAME) as ledger:
        assert {part.state for part in ledger.parts()} == {"done"}
