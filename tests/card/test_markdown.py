"""The card warns before it boasts, and says nothing that the bundle does not."""

import re
from collections.abc import Iterator

import pytest

from cervix import RESEARCH_NOTICE
from cervix.bundle import Bundle
from cervix.card.markdown import model_card
from cervix.evaluation.comparison import METRICS, comparison_table
from cervix.evaluation.heldout import load_table

WRITTEN_BY = re.compile(r"Card written by Cervix Workbench \S+")
WITH_INTERVAL = re.compile(r"\d+\.\d % \(\d+\.\d–\d+\.\d\)")


@pytest.fixture(scope="module")
def card(bundle: Bundle) -> str:
    return model_card(bundle)


@pytest.fixture(scope="module")
def sections(card: str) -> dict[str, str]:
    """Title -> text of every second-level section."""
    parts = re.split(r"^## (.+)$", card, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def rows_of(section: str) -> Iterator[dict[str, str]]:
    """Every row of every table as header -> cell."""
    header: list[str] = []
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        if cells and header and not set("".join(cells)) <= {"-"}:
            yield dict(zip(header, cells, strict=True))
        header = cells and (header or cells)


def test_the_research_notice_stands_before_everything_but_the_title(card: str) -> None:
    title, _, notice = card.splitlines()[:3]
    assert title.startswith("# Model card: ")
    assert notice == f"> **{RESEARCH_NOTICE}**"


def test_limits_failures_and_intended_use_stand_before_the_figures(bundle: Bundle, sections: dict[str, str]) -> None:
    wanted = ["### Limits", "### Known failures", "### Intended use", "### Held-out figures"]
    for model in bundle.manifest.models:
        headings = [line for line in sections[model.title].splitlines() if line.startswith("###")]
        assert headings[:4] == wanted
        before = sections[model.title].split("### Held-out figures")[0]
        assert "%" not in before
        for sentence in (*model.limits, *model.known_failures, *model.intended_use):
            assert f"- {sentence}" in before


def test_every_figure_of_our_models_has_its_interval_and_size(bundle: Bundle, sections: dict[str, str]) -> None:
    for model in bundle.manifest.models:
        rows = [row for row in rows_of(sections[model.title]) if row.get("source") == "This model"]
        assert len(rows) == len(model.derived_tasks)
        for row in rows:
            assert re.fullmatch(r"[\d,]+( \([\d,]+ groups\))?", row["n"])
            assert all(WITH_INTERVAL.fullmatch(row[metric]) for metric in METRICS)


def test_every_table_can_be_read_cell_by_cell(card: str) -> None:
    assert len(list(rows_of(card))) > 20


def test_every_comparison_is_on_the_card(bundle: Bundle, card: str) -> None:
    for model in bundle.manifest.models:
        for task in model.derived_tasks:
            for row in comparison_table(bundle, model, task).itertuples(index=False):
                assert f"| {' | '.join(row)} |" in card


def test_every_table_of_training_is_on_the_card_with_its_note(bundle: Bundle, card: str) -> None:
    tables = [table for model in bundle.manifest.models for table in model.evaluation.tables]
    assert {"reproduction", "reach", "robustness", "trials"} <= {table.id for table in tables}
    for table in tables:
        assert table.note in card
        for row in load_table(bundle, table).itertuples(index=False):
            assert f"| {' | '.join(row)} |" in card


def test_every_file_is_listed_with_its_hash_and_size(bundle: Bundle, card: str) -> None:
    for file in bundle.manifest.files:
        assert f"| {file.path} | {file.bytes:,} | {file.sha256[:16]}… |" in card


def test_every_variant_says_how_far_it_is_from_the_reference(bundle: Bundle, sections: dict[str, str]) -> None:
    for model in bundle.manifest.models:
        for variant in model.variants:
            difference = variant.difference
            figures = (
                f"{difference.largest_probability:.3g} | {difference.mean_probability:.2g} | {difference.agreement:.2%} | "
                f"{difference.auroc_difference:+.4f} | {difference.n}"
                if difference
                else "reference | – | reference | – | –"
            )
            assert f"| {variant.precision} | {variant.runs_on} | {figures} |" in sections[model.title]


def test_the_card_cites_every_source_of_training_data_with_its_licence(bundle: Bundle, card: str) -> None:
    for model in bundle.manifest.models:
        for data in model.training_data:
            assert f"**{data.name}** ({data.nature}; {data.licence})" in card
            assert data.citation in card


def test_the_card_names_the_bundle_that_it_was_written_from(bundle: Bundle, card: str) -> None:
    assert f"Manifest SHA-256 `{bundle.sha256[:16]}…`" in card
    assert f"`{bundle.manifest.git_commit[:10]}`" in card


def test_no_sentence_ends_in_two_full_stops(card: str) -> None:
    assert ".." not in card


def test_the_card_in_the_bundle_is_the_card_of_the_bundle(bundle: Bundle, card: str) -> None:
    committed = (bundle.root / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert WRITTEN_BY.search(committed)
    assert WRITTEN_BY.sub("", committed) == WRITTEN_BY.sub("", card)
