"""The card warns before it boasts, and says nothing that the bundle does not."""

import re
from collections.abc import Iterator

import pytest
from huggingface_hub import ModelCard

from cervix import RESEARCH_NOTICE
from cervix.bundle import Bundle
from cervix.card.guidelines import guidelines
from cervix.evaluation.comparison import BESIDE_RIVALS, comparison_table
from cervix.evaluation.heldout import load_table
from cervix.evaluation.left_out import HEADING, left_out_verdict
from cervix.evaluation.metrics import metric_titles
from tests.card.conftest import Truth

WITH_INTERVAL = re.compile(r"\d+\.\d % \(\d+\.\d–\d+\.\d\)|\d\.\d{3} \(\d\.\d{3}–\d\.\d{3}\)")


def own_figures(sections: dict[str, str], truth: Truth) -> dict[str, str]:
    """The row of our model in the table of a question."""
    after = sections[truth.model.title].split(f"**{truth.task.title}** (threshold")[1]
    return next(row for row in rows_of(after) if row["Source"] == "This model")


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
    title, _, notice = card.split("\n---\n", 1)[1].lstrip().splitlines()[:3]
    assert title.startswith("# Model card: ")
    assert notice == f"> **{RESEARCH_NOTICE}**"


def test_limits_failures_and_intended_use_stand_before_the_figures(bundle: Bundle, sections: dict[str, str]) -> None:
    wanted = ["### Limits", "### Known failures", "### Intended use", "### Summary", "### Held-out figures"]
    left_out = f"### {HEADING}"
    for model in bundle.manifest.models:
        headings = [line for line in sections[model.title].splitlines() if line.startswith("###")]
        first = left_out if left_out in headings else wanted[-1]
        assert headings[:5] == [*wanted[:-1], first]
        before = sections[model.title].split(first)[0]
        assert "%" not in before
        for sentence in (*model.limits, *model.known_failures, *model.intended_use):
            assert f"- {sentence}" in before


def test_left_out_laboratories_stand_before_the_held_out_figures_with_the_verdict_first(
    bundle: Bundle, sections: dict[str, str]
) -> None:
    model = bundle.manifest.model("slide")
    before, after = sections[model.title].split("### Held-out figures")
    _, told = before.split(f"### {HEADING}")
    assert told.strip().startswith(f"**{left_out_verdict(bundle, model)}**")
    assert [row["left out"] for row in rows_of(told)] == ["Bowel", "Lung", "Bone"]
    assert "| Bowel |" not in after.split("### Training data")[0]


def test_the_card_says_which_organs_were_learned_from_and_that_cervix_is_not_among_them(
    bundle: Bundle, sections: dict[str, str]
) -> None:
    model = bundle.manifest.model("slide")
    data = sections[model.title].split("### Training data")[1].split("### ")[0]
    assert "Organs seen in training: lung, colon, rectum. Cervix is not among them." in data
    assert "Laboratories: North, South. Types of tissue: lung, squamous carcinoma, glands." in data
    assert "Organs: colon, rectum. Laboratory: South." in data
    assert "Organs seen in training" not in sections[bundle.manifest.model("history").title]


def test_licences_of_every_source_of_training_data_are_in_one_table(bundle: Bundle, sections: dict[str, str]) -> None:
    rows = {row["part"]: row["licence"] for row in rows_of(sections["Licence"])}
    for model in bundle.manifest.models:
        for data in model.training_data:
            assert rows[data.name] == data.licence


def test_every_figure_of_our_models_has_its_interval_and_size(bundle: Bundle, sections: dict[str, str]) -> None:
    for model in bundle.manifest.models:
        rows = [row for row in rows_of(sections[model.title]) if row.get("Source") == "This model"]
        assert len(rows) == len(model.derived_tasks)
        for row in rows:
            assert re.fullmatch(r"[\d,]+( \([\d,]+ groups\))?", row["n"])
            assert all(WITH_INTERVAL.fullmatch(row[metric_titles()[metric]]) for metric in BESIDE_RIVALS)


def test_a_figure_is_what_scikit_learn_makes_of_the_predictions(sections: dict[str, str], truth: Truth) -> None:
    row = own_figures(sections, truth)
    assert row["n"].split(" ")[0] == f"{truth.n:,}"
    for title, value in (("AUROC", truth.auroc), ("Average precision", truth.average_precision)):
        assert float(row[title].split(" ")[0]) == pytest.approx(value, abs=0.00051)
    for title, value in (("Sensitivity (recall)", truth.sensitivity), ("Specificity", truth.specificity)):
        assert float(row[title].split(" %")[0]) == pytest.approx(100 * value, abs=0.051)


def test_the_metadata_hold_the_same_figure_with_interval_and_size(card: str, truth: Truth) -> None:
    found = [
        result
        for result in ModelCard(card).data.eval_results
        if (result.dataset_type, result.dataset_config, result.metric_type) == (truth.model.id, truth.task.id, "auroc")
    ]
    assert len(found) == 1
    assert found[0].metric_value == pytest.approx(truth.auroc, abs=1e-4)
    assert found[0].metric_args["low_95"] <= found[0].metric_value <= found[0].metric_args["high_95"]
    assert found[0].metric_args["n"] == truth.n


def test_the_metadata_name_licence_and_library(bundle: Bundle, card: str) -> None:
    data = ModelCard(card).data
    assert (data.license, data.library_name) == (bundle.manifest.card.licence_id, "onnx")
    assert set(bundle.manifest.card.models["slide"].keywords) <= set(data.tags)


def test_the_two_by_two_counts_give_the_sensitivity_of_the_table(sections: dict[str, str], truth: Truth) -> None:
    after = sections[truth.model.title].split(f"**{truth.task.title}** (threshold")[1]
    line = next(line for line in after.splitlines() if line.startswith("True positives"))
    hit, false_alarm, missed, spared = (int(part.replace(",", "")) for part in re.findall(r"[\d,]*\d", line))
    assert hit + false_alarm + missed + spared == truth.n
    assert hit / (hit + missed) == pytest.approx(truth.sensitivity)
    assert spared / (spared + false_alarm) == pytest.approx(truth.specificity)


def test_every_model_is_drawn_with_its_figures_in_words_and_the_drawings_stand_at_the_end(bundle: Bundle, card: str) -> None:
    text, *drawings = re.split(r"^\[[a-z-]+\]: data:image/svg\+xml;base64,", card, flags=re.MULTILINE)
    assert len(drawings) == 2 * len(bundle.manifest.models)
    assert all(len(line) < 4000 for line in text.splitlines())
    for model in bundle.manifest.models:
        assert re.search(rf"^!\[ROC curve of {re.escape(model.title)}, .*\d+ cases.*\]\[{model.id}-roc\]$", text, re.MULTILINE)
        assert f"][{model.id}-reliability]" in text


def test_every_section_that_the_guideline_index_names_is_on_the_card(card: str) -> None:
    headings = {line.lstrip("#").strip() for line in card.splitlines() if re.match(r"#{2,4} ", line)}
    named = {item.section for guideline in guidelines() for item in guideline.items if item.section}
    assert named <= headings
    assert len(named) > 10


def test_the_guidelines_have_all_their_items_once() -> None:
    expected = {"TRIPOD+AI": (27, 52), "CLAIM, 2024 update": (44, 44), "STARD-AI": (40, 48), "DECIDE-AI": (27, 38)}
    for guideline in guidelines():
        numbers = [item.number for item in guideline.items]
        assert len(set(numbers)) == len(numbers)
        assert (len({number.rstrip("abcdefg") for number in numbers}), len(numbers)) == expected[guideline.name]


def test_what_is_not_reported_is_said_and_counted(card: str) -> None:
    assert len(guidelines()) == 4
    for guideline in guidelines():
        missing = [item for item in guideline.items if not item.section]
        assert missing
        assert f"### {guideline.name}: {len(guideline.items) - len(missing)} of {len(guideline.items)} items reported" in card
        for item in missing:
            assert f"| {item.number} | {item.topic} | not reported |" in card


def test_facts_that_nobody_decided_are_not_made_up(sections: dict[str, str]) -> None:
    assert "**Contact.** Not reported" in sections["Basic information"]
    assert "**Funding source.** Not reported" in sections["Transparency and resources"]


def test_the_cost_of_training_is_told_or_said_to_be_unknown(bundle: Bundle, sections: dict[str, str]) -> None:
    assert {model.training_cost is None for model in bundle.manifest.models} == {True, False}
    for model in bundle.manifest.models:
        told = sections[model.title].split("### Training cost")[1]
        if model.training_cost is None:
            assert "not recorded" in told
        else:
            kwh = model.training_cost.wall_seconds * model.training_cost.assumed_watts / 3_600_000
            assert f"{model.training_cost.wall_seconds:,.0f} s" in told
            assert f"about {kwh:.2g} kWh, calculated from the time and an assumed" in told


def test_the_verdict_of_the_golden_vectors_names_provider_and_tolerance(bundle: Bundle, sections: dict[str, str]) -> None:
    rows = {row["model"]: row for row in rows_of(sections["Golden vectors"])}
    assert set(rows) == set(bundle.sessions)
    for row in rows.values():
        assert row["verdict"] == "reproduced"
        assert row["ran on"] == "CPUExecutionProvider"
        assert float(row["largest difference"].split(" in ")[0]) <= float(row["tolerance"])


def test_every_licence_and_citation_of_the_manifest_is_on_the_card(bundle: Bundle, sections: dict[str, str]) -> None:
    for licence in bundle.manifest.card.licences:
        assert f"| {licence.part} | {licence.licence} |" in sections["Licence"]
    for citation in bundle.manifest.card.citations:
        assert f"{citation.title}. {citation.published_in}" in sections["Citations"]


def test_every_table_can_be_read_cell_by_cell(card: str) -> None:
    assert len(list(rows_of(card))) > 20


def test_every_comparison_is_on_the_card(bundle: Bundle, card: str) -> None:
    for model in bundle.manifest.models:
        for task in model.derived_tasks:
            for row in comparison_table(bundle, model, task).itertuples(index=False):
                assert f"| {' | '.join(row)} |" in card


def test_every_table_of_training_is_on_the_card_with_its_note(bundle: Bundle, card: str) -> None:
    tables = [table for model in bundle.manifest.models for table in model.measured.tables]
    assert {"reach", "learning-curves", "halves", "leakage"} <= {table.id for table in tables}
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
