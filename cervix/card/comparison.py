"""A comparison of two bundles as a document."""

from collections.abc import Iterator, Sequence

from cervix import RESEARCH_NOTICE
from cervix.bundle.classes import ClassInfo
from cervix.bundle.manifest import Lineage
from cervix.card.blocks import Block, bullets, frame, markdown_text
from cervix.evaluation.metrics import METRICS
from cervix.evaluation.paired import Pair
from cervix.plain_text import escaped
from cervix.promotion.comparison import BundleComparison, ModelComparison, calibration_shift, figures_table
from cervix.promotion.rules import Margins

DISAGREEMENTS_SHOWN = 20
NEW_CASES_NOTE = (
    "A strategy chose these cases for labelling. They show how the two models compare on such cases, not how good either is. "
    "No promotion rule uses them."
)


def comparison_text(comparison: BundleComparison) -> str:
    """The comparison as Markdown: the verdict first, then the rules, the figures and what changed."""
    return markdown_text(comparison_blocks(comparison))


def comparison_blocks(comparison: BundleComparison) -> Iterator[Block]:
    """The same, block by block."""
    yield from (
        f"# {escaped(comparison.candidate)} compared with {escaped(comparison.active)}",
        "",
        f"> **{RESEARCH_NOTICE}**",
        "",
        f"**{escaped(comparison.verdict)}**",
        "",
    )
    yield from (margins_sentence(comparison.margins), "")
    if same := [model.title for model in comparison.models if model.same]:
        yield from ("Unchanged:", "", *bullets(map(escaped, same)), "")
    for model in comparison.changed:
        yield from _model_blocks(model)
    yield from ("## What changed in the manifest", "")
    yield comparison.differences if len(comparison.differences) else "Nothing."
    yield ""


def pair_blocks(pair: Pair) -> Iterator[Block]:
    """Figures, calibration and disagreements of one question."""
    yield figures_table(pair)
    yield from (
        "",
        f"{pair.n:,} cases ({pair.active.positives:,} positive) in {pair.active.groups:,} independent groups. The difference "
        f"is candidate minus active, with 95 % paired bootstrap intervals over groups. {mcnemar_sentence(pair)}",
        "",
    )
    yield calibration_shift(pair)
    yield ""
    if len(pair.disagreements):
        yield from (f"{len(pair.disagreements):,} cases are called differently. Those with the largest difference:", "")
        top = pair.disagreements.head(DISAGREEMENTS_SHOWN)
        yield top.assign(**{side: top[side].map("{:.3f}".format) for side in ("active", "candidate")})
    else:
        yield "Both models call every case the same."
    yield ""


def margins_sentence(margins: Margins) -> str:
    """With which margins the rules were judged."""
    falls = ", ".join(f"{METRICS[name].title} may fall by less than {margin:.3g}" for name, margin in margins.of_losses.items())
    return f"Limits of this installation: {falls}, {METRICS['ece'].title} may rise by less than {margins.ece:.3g}."


def mcnemar_sentence(pair: Pair) -> str:
    """How often only one of the two was right, and whether chance explains it."""
    return (
        f"Only the candidate is right on {pair.only_candidate_right:,} cases, only the active model on "
        f"{pair.only_active_right:,} (McNemar p {pair.p_value:.2g}, assuming independent cases)."
    )


def lineage_sentence(lineage: Lineage, classes: Sequence[ClassInfo]) -> str:
    """What a retrained model comes from."""
    words = {item.id: item.mid_sentence for item in classes}
    labels = ", ".join(f"{count:,} {words.get(label, label)}" for label, count in lineage.labels.items())
    left_out = "".join(f" Left out: {count:,} {reason}." for reason, count in lineage.left_out.items())
    return (
        f"Retrained from {lineage.parent} ({lineage.parent_sha256[:10]}) on labels: {labels}; seed {lineage.seed}.{left_out} "
        f"Each labelled case is scored by a model that did not learn from its fold. Folds by {lineage.folds_by}."
    )


def _model_blocks(model: ModelComparison) -> Iterator[Block]:
    yield from (f"## {escaped(model.title)}", "")
    if model.problem:
        yield from (f"Cannot be compared. {escaped(model.problem)}", "")
        return
    yield frame(["rule", "finding", "found"], [[ruling.rule, ruling.finding, ruling.found] for ruling in model.rulings])
    yield ""
    if model.lineage is not None:
        yield from (escaped(lineage_sentence(model.lineage, model.classes)), "")
    for pair in model.pairs.values():
        yield from (f"### {escaped(pair.question)}", "")
        yield from pair_blocks(pair)
    for pair in model.new_cases.values():
        yield from (f"### {escaped(pair.question)}, on the newly labelled cases", "", NEW_CASES_NOTE, "")
        yield from pair_blocks(pair)
