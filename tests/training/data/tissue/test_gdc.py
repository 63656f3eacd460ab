"""Slides come whole from a service that is slow, breaks off and errs, or not at all and with a reason."""

import csv
import errno
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cervix.errors import DownloadFailed
from cervix.sources import downloads
from tests.file_server import (
    FILES,
    HTML,
    Answer,
    Archive,
    Handler,
    case,
    dripping,
    regular,
    says,
    status,
    wrong_bytes,
)
from training.data.tissue import gdc
from training.data.tissue.collecting import SlideManifest
from training.data.tissue.diagnoses import AC_TERMS, NOT_GIVEN, OTHER_TERMS, SCC_TERMS, classify
from training.data.tissue.gdc import fetch_slides

SCC, AC = "Squamous cell carcinoma, NOS", "Adenocarcinoma, endocervical type"
PROJECT_ROOT = Path(__file__).parents[4]
pytestmark = pytest.mark.usefixtures("no_proxy")
SIZE = 3_000


class Fetch:
    """The function under test, pointed at the local server and in a hurry."""

    def __init__(self, archive: Archive, out: Path) -> None:
        self.archive, self.out, self.lines = archive, out, list[str]()
        self.options: dict[str, Any] = {"limit": None, "smallest": False, "retry_wait_s": 0.001, "read_timeout_s": 10.0}

    def __call__(self, **options: Any) -> SlideManifest:
        merged = {"log": self.lines.append, "base_url": f"{self.archive.address}/"} | self.options | options
        return fetch_slides("TCGA-CESC", self.out, **merged)

    def refused(self, match: str, **options: Any) -> DownloadFailed:
        """The error in place of slides, whose text has to match."""
        with pytest.raises(DownloadFailed, match=match) as caught:
            self(**options)
        return caught.value

    def table(self, name: str = "manifest.csv") -> list[dict[str, str]]:
        with (self.out / name).open(encoding="utf-8", newline="") as stream:
            return list(csv.DictReader(stream))

    def states(self) -> dict[str, str]:
        return {row["file_id"]: row["status"] for row in self.table()}

    def target(self, file_id: str) -> Path:
        name = next(record["file_name"] for record in self.archive.records if record["file_id"] == file_id)
        return self.out / "slides" / file_id / str(name)

    def part(self, file_id: str) -> Path:
        return self.target(file_id).with_name(f"{self.target(file_id).name}.part")

    def leave_part(self, file_id: str, content: bytes) -> None:
        """As an earlier run would have left it."""
        self.part(file_id).parent.mkdir(parents=True)
        self.part(file_id).write_bytes(content)

    def has(self, file_id: str) -> bool:
        """Whether the slide is at its place, byte for byte, and nothing else beside it."""
        target = self.target(file_id)
        return list(target.parent.iterdir()) == [target] and target.read_bytes() == self.archive.contents[file_id]


@pytest.fixture
def fetch(archive: Archive, tmp_path: Path) -> Fetch:
    return Fetch(archive, tmp_path / "tcga")


@pytest.fixture
def slide(archive: Archive) -> str:
    """A project of one slide."""
    return archive.add("TCGA-AA-0001", SCC, size=SIZE)


# Classes


@pytest.mark.parametrize(("term", "label"), [(term, "scc") for term in SCC_TERMS] + [(term, "ac") for term in AC_TERMS])
def test_a_term_of_a_class_gives_it_however_it_is_spaced_and_written(term: str, label: str) -> None:
    for text in (term, term.upper(), f"  {term.replace(', ', ' ,').lower()} "):
        assert classify([text]) == (label, "")


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("Squamous cell carcinoma, large cell, nonkeratinizing, NOS", "scc"),
        ("Basaloid squamous cell carcinoma", "scc"),
        ("Mucinous adenocarcinoma, endocervical type", "ac"),
        ("Endometrioid adenocarcinoma, NOS", "ac"),
        ("Clear cell adenocarcinoma, NOS", "ac"),
        ("Adenosquamous carcinoma", "adenosquamous: both classes in one tumour"),
        ("Small cell carcinoma, NOS", "neuroendocrine: another tumour"),
        ("Serous carcinoma, NOS", "serous: not a primary tumour of the cervix (WHO 2020)"),
        ("Squamous cell carcinoma in situ, NOS", "in situ: not invasive"),
        ("Carcinoma, undifferentiated, NOS", "a carcinoma of neither class"),
        ("Squamous cell carcinoma, NOS, of the lung", "diagnosis not in the table"),
        ("Adenocarcinoma", "diagnosis not in the table"),
    ],
)
def test_what_pathologists_keep_apart_is_kept_apart(text: str, label: str) -> None:
    assert "".join(classify([text])) == label


def test_no_term_stands_in_two_tables() -> None:
    terms = [*SCC_TERMS, *AC_TERMS, *OTHER_TERMS, *NOT_GIVEN]
    plain = [re.sub(r"[ ,]+", " ", term).casefold() for term in terms]
    assert len(set(plain)) == len(terms)


@pytest.mark.parametrize("nothing", [[], [None], [""], ["not reported"], ["Unknown", None]])
def test_a_case_without_a_statement_has_no_diagnosis(nothing: list[str | None]) -> None:
    assert classify(nothing) == ("", "no diagnosis")


@pytest.mark.parametrize(
    ("diagnoses", "answer"),
    [
        ([SCC, "Basaloid squamous cell carcinoma"], ("scc", "")),
        ([SCC, None, "Not Reported", ""], ("scc", "")),
        ([SCC, AC], ("", "diagnoses of both classes")),
        ([SCC, "Adenosquamous carcinoma"], ("", "adenosquamous: both classes in one tumour")),
        ([SCC, "Infiltrating duct carcinoma, NOS"], ("", "diagnosis not in the table")),
    ],
)
def test_several_diagnoses_of_a_case_must_agree_and_silent_ones_do_not_count(
    diagnoses: list[str | None], answer: tuple[str, str]
) -> None:
    assert classify(diagnoses) == classify(diagnoses[::-1]) == answer


# The list


def test_only_open_diagnostic_slides_of_the_project_are_listed(archive: Archive, fetch: Fetch, slide: str) -> None:
    archive.add("TCGA-AA-0002", SCC, access="controlled")
    archive.add("TCGA-AA-0003", SCC, experimental_strategy="Tissue Slide")
    archive.add("TCGA-AA-0004", SCC, data_format="TIFF")
    archive.add("TCGA-ZZ-0005", SCC, cases=[case("TCGA-ZZ-0005", SCC, project="TCGA-LUSC")])
    manifest = fetch()
    assert [listed.file_id for listed in manifest.slides] == [slide]
    assert manifest.excluded == ()


def test_every_page_of_a_long_list_is_read_in_the_order_of_ids(
    archive: Archive, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gdc, "PAGE_SIZE", 2)
    ids = [archive.add(f"TCGA-AA-{number:04d}", SCC, size=10) for number in range(5)]
    assert ids != sorted(ids)
    assert [listed.file_id for listed in fetch().slides] == sorted(ids)
    assert [(question["from"], question["size"]) for question in archive.questions] == [(0, 2), (2, 2), (4, 2)]


def test_what_is_left_out_is_listed_in_the_same_order_in_every_run(archive: Archive, fetch: Fetch) -> None:
    ids = [archive.add(f"TCGA-AA-{number:04d}", *([SCC] if number == 0 else [])) for number in range(5)]
    assert ids[1:] != sorted(ids[1:])
    fetch()
    assert [row["file_id"] for row in fetch.table("excluded.csv")] == sorted(ids[1:])


def test_the_manifest_says_which_slide_lies_where_and_what_it_shows(archive: Archive, fetch: Fetch) -> None:
    file_id = archive.add("TCGA-AA-0001", AC, size=SIZE)
    manifest = fetch()
    assert manifest.path == fetch.out / "manifest.csv"
    assert fetch.table() == [
        {
            "path": f"slides/{file_id}/TCGA-AA-0001-01Z-00-DX1.svs",
            "label": "ac",
            "source_group": "TCGA-AA-0001",
            "file_id": file_id,
            "file_name": "TCGA-AA-0001-01Z-00-DX1.svs",
            "file_size": str(SIZE),
            "md5sum": archive.records[0]["md5sum"],
            "primary_diagnosis": AC,
            "status": "downloaded",
        }
    ]
    assert (fetch.out / fetch.table()[0]["path"]).read_bytes() == archive.contents[file_id]


def test_what_is_left_out_is_listed_with_its_reason_and_not_downloaded(archive: Archive, fetch: Fetch, slide: str) -> None:
    left_out = {
        archive.add("TCGA-AA-0002", "Adenosquamous carcinoma"): "adenosquamous: both classes in one tumour",
        archive.add("TCGA-AA-0003", None): "no diagnosis",
        archive.add("TCGA-AA-0004", cases=[{"submitter_id": "TCGA-AA-0004", "project": {"project_id": "TCGA-CESC"}}]): (
            "no diagnosis"
        ),
        archive.add("TCGA-AA-0005", "Glassy something"): "diagnosis not in the table",
        archive.add("TCGA-AA-0006", SCC, AC): "diagnoses of both classes",
        archive.add("", cases=[case("TCGA-AA-0007", SCC), case("TCGA-AA-0008", SCC)], file_name="two.svs"): (
            "several patients on one file"
        ),
    }
    manifest = fetch()
    assert {row["file_id"]: row["reason"] for row in fetch.table("excluded.csv")} == left_out
    assert {excluded.file_id: excluded.reason for excluded in manifest.excluded} == left_out
    assert list(fetch.states()) == archive.downloads() == [slide]
    assert "excluded: 2 × no diagnosis" in fetch.lines
    row = next(row for row in fetch.table("excluded.csv") if row["reason"] == "diagnoses of both classes")
    assert list(row) == ["file_id", "source_group", "primary_diagnosis", "reason"]
    assert (row["source_group"], row["primary_diagnosis"]) == ("TCGA-AA-0006", f"{AC}; {SCC}")


def test_a_project_without_slides_is_named_as_perhaps_misspelt(archive: Archive, fetch: Fetch) -> None:
    fetch.refused("TCGA-CESC has no open diagnostic slides: expected a project id such as TCGA-CESC; found 0 files")
    assert archive.downloads() == []


def test_a_project_without_either_class_says_where_the_reasons_are(archive: Archive, fetch: Fetch) -> None:
    archive.add("TCGA-AA-0001", "Carcinoma, NOS")
    fetch.refused(r"no slide of either class.*1 slides of something else\. The reasons are in .*excluded\.csv")
    assert [row["reason"] for row in fetch.table("excluded.csv")] == ["carcinoma without a type"]


@pytest.mark.parametrize(
    ("reply", "found"),
    [
        (HTML, "the reply begins with '<html><body>"),
        (says(""), "at the whole reply"),
        (says("[]"), "the whole reply"),
        (says('{"data": {"hits": []}}'), "at data.pagination: Field required"),
        (says('{"data": {"pagination": {"total": 1}}}'), "at data.hits: Field required"),
        (says('{"data": {"hits": [{}], "pagination": {"total": 1}}}'), "at data.hits.0.file_id: Field required"),
        (says(b"\xff\xfe\x00"), "at the whole reply"),
    ],
)
@pytest.mark.usefixtures("slide")
def test_a_reply_that_is_no_list_of_files_is_quoted_and_not_asked_for_again(
    archive: Archive, fetch: Fetch, reply: Answer, found: str
) -> None:
    archive.plan(FILES, reply)
    error = fetch.refused("answers in another way than documented: expected JSON with")
    assert found in error.found
    assert "Check the address" in error.action
    assert archive.requests == [(FILES, "")]
    assert not fetch.out.exists()


@pytest.mark.parametrize("name", ["file_id", "file_name", "file_size", "md5sum", "cases"])
def test_a_file_without_a_field_is_refused_by_the_fields_name(archive: Archive, fetch: Fetch, name: str) -> None:
    archive.add("TCGA-AA-0001", SCC)
    page = archive.page({"filters": {"op": "and", "content": []}, "from": 0, "size": 9, "fields": ",".join(gdc.FIELDS)})
    del page["data"]["hits"][0][name]
    archive.plan(FILES, says(json.dumps(page)))
    fetch.refused(f"at data.hits.0.{name}: Field required")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("file_name", "../../escape.svs"),
        ("file_name", "folder/slide.svs"),
        ("file_name", "folder\\slide.svs"),
        ("file_name", "/etc/escape.svs"),
        ("file_name", ".."),
        ("file_name", ".hidden"),
        ("file_name", "slide.svs\n"),
        ("file_name", "a:b.svs"),
        ("file_name", ""),
        ("file_name", "x" * 300),
        ("file_id", "../../../escape"),
        ("file_id", "9b0e5a1c"),
        ("md5sum", "none"),
        ("md5sum", None),
        ("file_size", 0),
        ("file_size", "large"),
    ],
)
def test_a_record_that_could_leave_the_folder_or_not_be_checked_is_refused_before_anything_is_written(
    archive: Archive, fetch: Fetch, name: str, value: object
) -> None:
    archive.add("TCGA-AA-0001", SCC, **{name: value})
    fetch.refused(rf"another way than documented: .*at data\.hits\.0\.{name}: ")
    assert archive.downloads() == []
    assert list(fetch.out.parent.iterdir()) == []


def test_a_server_that_gives_the_same_page_again_does_not_hold_the_run_up(
    archive: Archive, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gdc, "PAGE_SIZE", 1)
    archive.add("TCGA-AA-0001", SCC)
    archive.add("TCGA-AA-0002", SCC)

    def first_page_again(handler: Handler) -> None:
        says(json.dumps(archive.page(archive.questions[0])))(handler)

    archive.plan(FILES, first_page_again, first_page_again)
    fetch.refused("expected every file once; found .* on two pages")


def test_a_list_that_ends_before_its_total_is_refused(archive: Archive, fetch: Fetch) -> None:
    archive.plan(FILES, says('{"data": {"hits": [], "pagination": {"total": 3}}}'))
    fetch.refused("expected 3 files; found an empty page after 0")


# The choice


def test_two_of_the_smallest_are_one_of_each_class(archive: Archive, fetch: Fetch) -> None:
    for number, size in enumerate((500, 100, 200)):
        archive.add(f"TCGA-AA-000{number}", SCC, size=size)
    for number, size in enumerate((900, 700)):
        archive.add(f"TCGA-BB-000{number}", AC, size=size)
    chosen = fetch(limit=2, smallest=True).slides
    assert [(slide.label, slide.file_size) for slide in chosen] == [("scc", 100), ("ac", 700)]
    assert sorted(archive.downloads()) == sorted(slide.file_id for slide in chosen)


@pytest.mark.parametrize(
    ("limit", "labels"),
    [
        (1, ["scc"]),
        (3, ["scc", "ac", "scc"]),
        (4, ["scc", "ac", "scc", "scc"]),
        (9, ["scc", "ac", "scc", "scc", "scc"]),
    ],
)
def test_a_limit_is_balanced_while_both_classes_last(archive: Archive, fetch: Fetch, limit: int, labels: list[str]) -> None:
    for number in range(4):
        archive.add(f"TCGA-AA-000{number}", SCC, size=10)
    archive.add("TCGA-BB-0000", AC, size=10)
    assert [slide.label for slide in fetch(limit=limit).slides] == labels


def test_without_a_limit_all_come_by_id_or_by_size(archive: Archive, fetch: Fetch) -> None:
    ids = [archive.add(f"TCGA-AA-000{number}", AC, size=size) for number, size in enumerate((30, 10, 20))]
    assert [slide.file_id for slide in fetch().slides] == sorted(ids)
    assert [slide.file_size for slide in fetch(smallest=True).slides] == [10, 20, 30]
    assert all(fetch.has(file_id) for file_id in ids)


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_below_one_is_refused_before_anything_is_asked(archive: Archive, fetch: Fetch, limit: int) -> None:
    fetch.refused(f"expected a limit of at least 1; found {limit}", limit=limit)
    assert archive.requests == []


# Downloads, and what goes on from where


def test_a_plain_name_may_hold_spaces_and_signs(archive: Archive, fetch: Fetch) -> None:
    file_id = archive.add("HTMCP-03", SCC, file_name="HTMCP-03 (H&E), 1.svs")
    fetch()
    assert fetch.has(file_id)


def test_a_second_run_downloads_nothing_again(archive: Archive, fetch: Fetch, slide: str) -> None:
    fetch()
    fetch()
    assert archive.downloads() == [slide]
    assert fetch.states() == {slide: "downloaded"}
    assert fetch.lines[-1] == "1 there already, 0 to download, 0.0 MB"


def test_a_slide_of_another_size_under_the_right_name_is_fetched_anew(archive: Archive, fetch: Fetch, slide: str) -> None:
    fetch()
    fetch.target(slide).write_bytes(archive.contents[slide][:-1])
    fetch()
    assert archive.ranges(slide) == ["", ""]
    assert fetch.has(slide)


def test_an_earlier_part_is_completed_and_not_fetched_again(archive: Archive, fetch: Fetch, slide: str) -> None:
    fetch.leave_part(slide, archive.contents[slide][:1234])
    fetch()
    assert archive.ranges(slide) == ["bytes=1234-"]
    assert fetch.has(slide)


def test_bytes_that_stay_wrong_are_never_kept(archive: Archive, fetch: Fetch, slide: str) -> None:
    archive.plan(slide, wrong_bytes, wrong_bytes)
    error = fetch.refused("TCGA-AA-0001-01Z-00-DX1.svs does not arrive as it was deposited")
    assert error.expected == f"MD5 {archive.records[0]['md5sum']}"
    assert re.fullmatch(r"MD5 [0-9a-f]{32}, twice", error.found)
    assert archive.ranges(slide) == ["", ""]
    assert list(fetch.part(slide).parent.iterdir()) == []
    assert fetch.states() == {slide: "listed"}
    fetch()
    assert fetch.has(slide)


# Interruptions


def test_the_manifest_is_there_before_the_first_byte_and_grows_with_each_slide(archive: Archive, fetch: Fetch) -> None:
    ids = sorted(archive.add(f"TCGA-AA-000{number}", SCC) for number in range(3))
    seen: list[list[tuple[str, bool]]] = []

    def noting(handler: Handler) -> None:
        seen.append([(row["status"], row["path"] != "") for row in fetch.table()])
        regular(handler)

    for file_id in ids:
        archive.plan(file_id, noting)
    fetch()
    done, waiting = ("downloaded", True), ("listed", False)
    assert seen == [[waiting] * 3, [done, waiting, waiting], [done, done, waiting]]
    assert set(fetch.states().values()) == {"downloaded"}


def test_a_slide_that_fails_does_not_undo_the_one_before(archive: Archive, fetch: Fetch) -> None:
    first, second = sorted([archive.add("TCGA-AA-0001", SCC), archive.add("TCGA-AA-0002", AC)])
    archive.plan(second, status(403))
    fetch.refused("not open access")
    assert fetch.states() == {first: "downloaded", second: "listed"}
    fetch()
    assert archive.downloads() == [first, second, second]
    assert fetch.has(first)
    assert fetch.has(second)


def raising_on_progress(error: BaseException) -> Callable[[str], None]:
    """A log that is interrupted at the first line about bytes that came."""

    def log(line: str) -> None:
        if "MB/s" in line:
            raise error

    return log


FETCH_IN_A_CHILD = """
import sys
from pathlib import Path
sys.modules["tensorflow"] = None  # importing it fails
from training.data.tissue.gdc import fetch_slides
fetch_slides("TCGA-CESC", Path(sys.argv[1]), limit=None, smallest=False, log=lambda _: None, base_url=sys.argv[2])
"""


def test_a_killed_download_goes_on_from_the_bytes_that_had_arrived_and_needs_no_tensorflow(
    archive: Archive, fetch: Fetch
) -> None:
    size = 400_000
    file_id = archive.add("TCGA-AA-0001", SCC, size=size)
    archive.plan(file_id, dripping(20_000, seconds=0.05, step=1000))
    child = subprocess.Popen([sys.executable, "-c", FETCH_IN_A_CHILD, fetch.out, archive.address], cwd=PROJECT_ROOT)
    try:
        deadline = time.monotonic() + 60
        while not (fetch.part(file_id).is_file() and fetch.part(file_id).stat().st_size >= 30_000):
            assert child.poll() is None, "the download ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        child.kill()
        child.wait()
    kept = fetch.part(file_id).stat().st_size
    assert 30_000 <= kept < size
    assert not fetch.target(file_id).exists()
    assert fetch.states() == {file_id: "listed"}
    fetch()
    assert archive.ranges(file_id) == ["", f"bytes={kept}-"]
    assert fetch.has(file_id)


# Room


def free_bytes(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    usage = shutil.disk_usage(PROJECT_ROOT)._replace(free=free)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)


@pytest.mark.usefixtures("slide")
def test_a_disk_that_is_too_small_for_all_slides_is_said_before_the_first_byte(
    archive: Archive, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.add("TCGA-AA-0002", AC, size=2000)
    free_bytes(monkeypatch, 4999)
    error = fetch.refused("No room for the slides under .*expected 5,000 bytes free; found 4,999")
    assert "continues where it stopped" in error.action
    assert archive.downloads() == []
    assert set(fetch.states().values()) == {"listed"}


@pytest.mark.usefixtures("slide")
def test_what_is_there_already_needs_no_room(archive: Archive, fetch: Fetch, monkeypatch: pytest.MonkeyPatch) -> None:
    fetch()
    other = archive.add("TCGA-AA-0002", AC, size=2000)
    fetch.leave_part(other, archive.contents[other][:1500])
    free_bytes(monkeypatch, 500)
    fetch()
    assert fetch.has(other)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_said_in_bytes(archive: Archive, fetch: Fetch, slide: str) -> None:
    fetch.part(slide).parent.mkdir(parents=True)
    fetch.part(slide).symlink_to("/dev/full")
    error = fetch.refused("No room for the slides under .*expected 3,000 bytes free")
    assert isinstance(error.__cause__, OSError)
    assert archive.ranges(slide) == [""], "a full disk is no fault that passes"
    fetch.part(slide).unlink()
    fetch()
    assert fetch.has(slide)


def test_a_disk_that_fills_up_on_the_way_keeps_what_came(
    archive: Archive, fetch: Fetch, slide: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.plan(slide, dripping(1000, seconds=0.2, step=1000))
    full = OSError(errno.ENOSPC, "No space left on device")
    with monkeypatch.context() as patched:
        patched.setattr(downloads, "LOG_EVERY_S", 0.0)
        error = fetch.refused("No room for the slides", log=raising_on_progress(full))
    kept = fetch.part(slide).stat().st_size
    assert 0 < kept < SIZE
    assert error.expected == f"{SIZE - kept:,} bytes free"
    fetch()
    assert archive.ranges(slide) == ["", f"bytes={kept}-"]
    assert fetch.has(slide)


# What is said meanwhile


def test_progress_names_file_place_size_speed_and_time_left(
    archive: Archive, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "LOG_EVERY_S", 0.0)
    file_id = archive.add("TCGA-AA-0001", SCC, size=1_200_000)
    archive.add("TCGA-AA-0002", AC, size=2_000_000)
    archive.plan(file_id, dripping(600_000, seconds=0.05, step=300_000))
    fetch(smallest=True)
    which = "1 of 2: TCGA-AA-0001-01Z-00-DX1.svs"
    about = [line for line in fetch.lines if line.startswith(which)]
    assert about[0] == f"{which}, 1.2 MB"
    progress = rf"{re.escape(which)}: \d\.\d of 1\.2 MB, \d+\.\d MB/s, \d+ (s|min) left"
    assert len(about) > 3
    assert all(re.fullmatch(progress, line) for line in about[1:-1])
    assert re.fullmatch(rf"{re.escape(which)} is whole after \d+ s", about[-1])
