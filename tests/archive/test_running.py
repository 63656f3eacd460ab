"""A run from its order to its end: its own bundle, one driver, and what a promotion in the middle does."""

import os
import shutil
import struct
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cervix.archive.bundles import BEFORE_NAME
from cervix.archive.ledger import LEDGER_NAME, Ledger
from cervix.archive.running import LISTED_SAID, Asked, held, is_driven, run_archive
from cervix.archive.runs import RUN_NAME, RunOrder, read_order
from cervix.archive.sources import listed
from cervix.archive.work import Found, Station, Work
from cervix.archive.worker import Worker
from cervix.bundle.loading import read_manifest
from cervix.errors import ArchiveRunRefused
from cervix.patients.golden import prove_bundle
from cervix.settings import get_settings
from cervix.slides.results import load_score
from cervix.sources.opening import open_slide
from tests.archive.conftest import InlineEngine, linked, made_slide
from tests.bundle.altered import edit_manifest
from tests.bundle.made import write_tile_bundle

Run = Callable[..., dict[str, int]]


@pytest.fixture(scope="module")
def roots(bundle_root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A bundle, and one with the same graph that calls no slide of fewer than 99 tiles."""
    folder = tmp_path_factory.mktemp("bundles")

    def stricter(manifest: dict[str, Any]) -> None:
        manifest["version"] = "0.2.0"
        model = next(model for model in manifest["models"] if model["kind"] == "tile")
        model["slide_rule"]["minimum_tiles"] = 99

    first, second = (Path(shutil.copytree(bundle_root, folder / name)) for name in ("first", "second"))
    edit_manifest(second, stricter)
    return first, second


@pytest.fixture
def worked() -> list[str]:
    """Names of the slides that workers have had, in their order."""
    return []


@pytest.fixture
def run(tmp_path: Path, worked: list[str], slides: Path) -> Run:
    """A run into ``tmp_path / "run"`` by a worker in this process."""
    out = tmp_path / "run"

    def go(
        root: Path,
        *,
        sources: tuple[Path, ...] = (slides,),
        only_changed: bool = False,
        rest: bool = False,
        before: Callable[[Work], None] = lambda _: None,
        **ordered: object,
    ) -> dict[str, int]:
        manifest, sha256 = read_manifest(root)
        order = RunOrder(
            sources=[str(source) for source in sources],
            bundle_label=manifest.version,
            bundle_sha256=sha256,
            results_dir=out / "results",
            started=datetime.now(UTC),
            device="cpu",
        )
        asked = Asked(order.model_copy(update=ordered), root, tmp_path / "cache", 1 << 30, only_changed, rest)

        def engine_of(station: Station) -> InlineEngine:
            engine = InlineEngine(Worker(station, "here 1"))
            engine.worked, engine.before = worked, before
            return engine

        return dict(run_archive(out, asked, get_settings(), engine_of))  # fmt: skip

    return go


def facts(out: Path, columns: str) -> set[tuple[object, ...]]:
    with Ledger(out / LEDGER_NAME, read_only=True) as ledger:
        return {tuple(row) for row in ledger._connection.execute(f"SELECT {columns} FROM slides")}


def test_a_run_goes_on_without_scoring_anything_twice(run: Run, roots: tuple[Path, Path], tmp_path: Path) -> None:
    first, _ = roots
    assert run(first) == {"done": 2}
    ended = facts(tmp_path / "run", "place, ended_at")
    assert run(first, sources=()) == {"done": 2}, "it knows its sources"
    assert facts(tmp_path / "run", "place, ended_at") == ended
    assert (tmp_path / "run").stat().st_mode & 0o077 == 0


def test_a_promotion_in_the_middle_changes_nothing(
    run: Run, roots: tuple[Path, Path], tmp_path: Path, worked: list[str]
) -> None:
    active = Path(shutil.copytree(roots[0], tmp_path / "active"))

    def promote(_: Work) -> None:
        if len(worked) == 1:
            shutil.rmtree(active)
            shutil.copytree(roots[1], active)

    assert run(active, before=promote) == {"done": 2}
    assert read_manifest(active)[0].version == "0.2.0"
    assert facts(tmp_path / "run", "bundle_sha256, verdict") == {(read_manifest(roots[0])[1], "cancer")}


def test_another_bundle_is_refused_and_both_ways_are_named_and_so_is_another_kind_of_answer(
    run: Run, roots: tuple[Path, Path]
) -> None:
    run(roots[0])
    with pytest.raises(ArchiveRunRefused, match=r"another bundle.*0\.1\.0.*0\.2\.0.*--out.*--only-changed.*--bundle"):
        run(roots[1])
    with pytest.raises(ArchiveRunRefused, match="ordered otherwise.*everywhere as it was: False"):
        run(roots[0], everywhere=True)


def test_after_a_promotion_kept_rows_are_decided_again_and_only_new_slides_are_scored(
    run: Run, roots: tuple[Path, Path], tmp_path: Path, slides: Path, worked: list[str]
) -> None:
    out, more = tmp_path / "run", tmp_path / "more"
    more.mkdir()
    linked(slides / "slide-0.tiff", more / "twin.tiff")
    run(roots[0], sources=(slides, more))
    made_slide(more / "new.tiff", seed=60)
    worked.clear()
    assert run(roots[1], sources=(), only_changed=True) == {"done": 3, "duplicate": 1}
    assert worked == ["new.tiff"]
    sha256 = read_manifest(roots[1])[1]
    assert facts(out, "bundle_sha256") == {(sha256,)}
    assert {verdict for verdict, state in facts(out, "verdict, state") if state == "done"} == {"abstained"}
    score = load_score(out / "results", open_slide(slides / "slide-1.tiff"), prove_bundle(roots[1], device="cpu"))
    assert score is not None, "complete, as a score of one slide is"
    assert score.summary.answer.verdict == "abstained"
    assert score.summary.provenance.bundle_sha256 == sha256
    assert "Decided again by" in score.summary.notices[-1]
    assert read_manifest(out / BEFORE_NAME / read_manifest(roots[0])[1])[0].version == "0.1.0"
    order = read_order(out)
    assert order is not None
    assert order.bundle_sha256 == sha256


def test_where_the_graph_is_another_everything_is_scored(run: Run, roots: tuple[Path, Path], tmp_path: Path) -> None:
    other = write_tile_bundle(tmp_path / "other")
    run(roots[0])
    assert run(other, only_changed=True) == {"done": 2}
    assert facts(tmp_path / "run", "bundle_sha256") == {(read_manifest(other)[1],)}


def test_a_triage_sees_a_part_and_the_rest_is_scored_when_it_is_asked_for(
    run: Run, roots: tuple[Path, Path], tmp_path: Path
) -> None:
    archive, out = tmp_path / "large", tmp_path / "run"
    archive.mkdir()
    made_slide(archive / "large.tiff", seed=70, tiles=12)
    assert run(roots[0], sources=(archive,), triage=True) == {"done": 1}
    ((verdict, seen_share),) = facts(out, "verdict, seen_share")
    assert verdict == "cancer"
    assert isinstance(seen_share, float)
    assert seen_share < 0.5
    with pytest.raises(ArchiveRunRefused, match="triage as it was: True"):
        run(roots[0], sources=(archive,))
    assert run(roots[0], sources=(archive,), rest=True) == {"done": 1}
    assert facts(out, "verdict, seen_share, tiles") == {("cancer", 1.0, 144)}
    score = load_score(out / "results", open_slide(archive / "large.tiff"), prove_bundle(roots[0], device="cpu"))
    assert score is not None
    assert score.summary.timings.resumed_tiles == round(seen_share * 144), "no tile twice"


def test_the_second_driver_is_refused_while_the_first_one_lives(run: Run, roots: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert not is_driven(out)
    with held(out):
        assert is_driven(out)
        with pytest.raises(ArchiveRunRefused, match="Another process scores into this folder"):
            run(roots[0])
    assert not is_driven(out)


def test_a_source_that_is_not_there_is_said_after_the_others_are_scored(
    run: Run, roots: tuple[Path, Path], tmp_path: Path, slides: Path
) -> None:
    with pytest.raises(ArchiveRunRefused):
        run(roots[0], sources=(slides, tmp_path / "nowhere"))
    assert facts(tmp_path / "run", "state") == {("done",)}
    assert run(roots[0], sources=(slides,)) == {"done": 2}, "named again it is put right"


def test_a_run_whose_listing_breaks_in_any_way_is_not_taken_for_a_whole_one(
    run: Run, roots: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> Iterator[Found]:
        yield from listed([str(slide)], get_settings())
        raise ValueError("what nobody foresaw")

    slide = made_slide(tmp_path / "one.tiff")
    monkeypatch.setattr("cervix.archive.running.listed", broken)
    with pytest.raises(ValueError, match="nobody foresaw"):
        run(roots[0])
    with Ledger(tmp_path / "run" / LEDGER_NAME, read_only=True) as ledger:
        assert ledger.counts() == {"done": 1}
        assert not ledger.said(LISTED_SAID)
    monkeypatch.undo()
    assert run(roots[0], sources=(slide,)) == {"done": 1}
    with Ledger(tmp_path / "run" / LEDGER_NAME, read_only=True) as ledger:
        assert ledger.said(LISTED_SAID)


def test_a_folder_that_cannot_be_written_is_said(roots: tuple[Path, Path], run: Run, tmp_path: Path, small_disk: Path) -> None:
    (tmp_path / "run").write_text("a file")
    with pytest.raises(ArchiveRunRefused, match="cannot be written"):
        run(roots[0])
    (tmp_path / "run").unlink()
    (small_disk / "filler").write_bytes(bytes(190_000))
    (tmp_path / "run").symlink_to(small_disk)
    with pytest.raises(ArchiveRunRefused, match="cannot be kept in its folder.*No space left"):
        run(roots[0])


def test_an_order_that_cannot_be_read_is_not_ordered_anew(run: Run, roots: tuple[Path, Path], tmp_path: Path) -> None:
    run(roots[0])
    (tmp_path / "run" / RUN_NAME).write_text("{")
    with pytest.raises(ArchiveRunRefused, match="order cannot be read"):
        run(roots[0], everywhere=True)
    assert (tmp_path / "run" / RUN_NAME).read_text() == "{"


def test_a_list_that_breaks_off_for_whatever_reason_is_said(
    run: Run, roots: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, slides: Path
) -> None:
    def broken(*_: object) -> Iterator[Found]:
        yield from listed([str(slides)], get_settings())
        raise struct.error("of a header that nobody thought of")

    monkeypatch.setattr("cervix.archive.running.listed", broken)
    with pytest.raises(ArchiveRunRefused, match="cannot be listed to their end"):
        run(roots[0])
    assert facts(tmp_path / "run", "state") == {("done",)}, "what was listed before is scored"


def test_a_name_that_is_no_text_is_said_before_anything_begins(run: Run, roots: tuple[Path, Path], tmp_path: Path) -> None:
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/odd\xff"))
    odd.mkdir()
    with pytest.raises(ArchiveRunRefused, match="no text"):
        run(roots[0], sources=(odd,))
    (tmp_path / "link").symlink_to(odd)
    with pytest.raises(ArchiveRunRefused, match="no text"):
        run(roots[0], sources=(tmp_path / "link",))


@pytest.mark.parametrize("results", ["run/results", "results-beside"])
def test_what_a_run_makes_within_its_own_source_is_no_slide_of_it(
    run: Run, roots: tuple[Path, Path], tmp_path: Path, slides: Path, results: str
) -> None:
    linked(slides / "slide-0.tiff", tmp_path / "one.tiff")
    for _ in range(2):
        assert run(roots[0], sources=(tmp_path,), results_dir=tmp_path / results) == {"done": 1}


def test_a_run_into_the_folder_of_its_slides_lists_these_alone(
    run: Run, roots: tuple[Path, Path], tmp_path: Path, slides: Path
) -> None:
    (tmp_path / "run").mkdir()
    linked(slides / "slide-0.tiff", tmp_path / "run" / "one.tiff")
    for _ in range(2):
        assert run(roots[0], sources=(tmp_path / "run",)) == {"done": 1}
