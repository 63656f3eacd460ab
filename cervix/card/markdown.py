"""The model card, written from the manifest and the held-out predictions alone."""

from collections.abc import Iterable, Iterator

from cervix import RESEARCH_NOTICE, __version__
from cervix.bundle import Bundle
from cervix.card.blocks import Block, bullets, frame, markdown_text
from cervix.card.chai import chai_card
from cervix.card.chai_text import part_blocks
from cervix.card.front_matter import front_matter
from cervix.card.guidelines import guidelines
from cervix.card.model_section import model_section
from cervix.plain_text import escaped

GUIDELINES = "Reporting guidelines"


def model_card(bundle: Bundle) -> str:
    """The card of the whole bundle as Markdown."""
    return with_front_matter(bundle, card_blocks(bundle))


def with_front_matter(bundle: Bundle, blocks: Iterable[Block]) -> str:
    """Blocks of a card as one Markdown text, metadata first."""
    return f"{front_matter(bundle)}\n{markdown_text(blocks)}"


def card_blocks(bundle: Bundle) -> Iterator[Block]:
    """The card block by block: each model's limits and intended use, then its figures; last what applies to all models."""
    yield from head_blocks(bundle)
    for model in bundle.manifest.models:
        yield from model_section(bundle, model)
    yield from bundle_sections(bundle)


def head_blocks(bundle: Bundle) -> Iterator[Block]:
    """Title, notice, and which bundle the card is of."""
    manifest = bundle.manifest
    yield from (
        f"# Model card: {escaped(manifest.name)} {manifest.version}",
        "",
        f"> **{RESEARCH_NOTICE}**",
        "",
        origin_sentence(bundle),
        "",
    )


def origin_sentence(bundle: Bundle) -> str:
    """Where the bundle comes from, and what wrote the card."""
    manifest = bundle.manifest
    return (
        f"Stage: {manifest.stage}. Created {manifest.created:%Y-%m-%d %H:%M} UTC from commit "
        f"`{manifest.git_commit[:10]}`. Manifest SHA-256 `{bundle.sha256[:16]}…`. "
        f"Card written by Cervix Workbench {__version__}."
    )


def bundle_sections(bundle: Bundle) -> Iterator[Block]:
    """What applies to every model: release, licence, citations, guidelines, golden vectors and provenance."""
    manifest = bundle.manifest
    yield from _bundle_facts(bundle)
    yield from _licence(bundle)
    yield from (
        "## Citations",
        "",
        *bullets(f"{escaped(item.sentence)} *{escaped(item.used_for)}*" for item in manifest.card.citations),
        "",
    )
    yield from _guideline_index()
    yield from _golden_vectors(bundle)
    yield from ("## Provenance", "")
    yield frame(["package", "version"], manifest.packages.items())
    yield ""
    yield frame(
        ["file", "bytes", "SHA-256"],
        ((file.path, f"{file.bytes:,}", f"{file.sha256[:16]}…") for file in manifest.files),
    )
    yield from ("", "## Changelog", "", *bullets(map(escaped, manifest.changelog)), "")


def _bundle_facts(bundle: Bundle) -> Iterator[Block]:
    parts = {part.element: part for part in chai_card(bundle, bundle.manifest.models[0])}
    for element in ("BasicInfo", "ReleaseInfo"):
        yield from part_blocks(parts[element], of_bundle=True, level=2)
    yield from (
        "## Transparency and resources",
        "",
        f"**Ethics approval.** {escaped(bundle.manifest.card.ethics_approval)}",
        "",
    )
    for element in ("TrustIngredients", "Resources"):
        yield from part_blocks(parts[element], of_bundle=True)


def _licence(bundle: Bundle) -> Iterator[Block]:
    """Of what was written by hand, then of every source of training data, each once."""
    manifest = bundle.manifest
    parts = {item.part: (item.licence, item.note or "–") for item in manifest.card.licences}
    sources = {data.name: (data.licence, data.citation) for model in manifest.models for data in model.training_data}
    yield from ("## Licence", "")
    yield frame(["part", "licence", "note"], ((part, *said) for part, said in (parts | sources | parts).items()))
    yield ""


def _guideline_index() -> Iterator[Block]:
    yield from (
        f"## {GUIDELINES}",
        "",
        "Where this card reports each item. The topics are in our own words. A section being listed does not mean that its "
        "content is good. The lists were not compared line by line with the guidelines' own checklists: where an item matters, "
        "read the guideline.",
        "",
    )
    for guideline in guidelines():
        yield from (f"### {guideline.name}: {guideline.summary}", "", guideline.about, "", f"Source: {guideline.citation}", "")
        if guideline.note:
            yield from (guideline.note, "")
        yield guideline.table
        yield ""


def _golden_vectors(bundle: Bundle) -> Iterator[Block]:
    """The result of the replay on this machine; a bundle that fails is not loaded."""
    yield from (
        "## Golden vectors",
        "",
        "Before anything is scored, each model is run on stored inputs, and its answers are compared with those of the export.",
        "",
    )
    if not bundle.checks:
        yield from ("What came of it is of each machine: `python -m cervix bundle verify` shows it.", "")
        return
    yield frame(
        ["model", "variant", "ran on", "largest difference", "tolerance", "verdict"],
        (
            (
                check.model_id,
                check.variant.precision,
                check.provider,
                f"{check.absolute_difference:.2g} in {check.worst_output}",
                f"{check.variant.tolerance[check.worst_output]:g}",
                "reproduced" if check.passed else "NOT reproduced",
            )
            for check in bundle.checks
        ),
    )
    yield ""
