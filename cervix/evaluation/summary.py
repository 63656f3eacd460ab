"""What a visitor must know of a model before any table: verdict, three figures, strongest rival, worst failure.

Everything is computed from the held-out predictions and the tables of the bundle; which of them a bundle has decides what is
said. Nothing is typed in.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

from cervix.bundle import Bundle, Model
from cervix.bundle.manifest import UNEVALUATED, DerivedTask
from cervix.errors import BundleError
from cervix.evaluation.comparison import BASELINE_THRESHOLD, decimal, in_words, parsed_decimal, percent, signed
from cervix.evaluation.heldout import held_out, load_table
from cervix.evaluation.leakage import Protocol, leak, leakage_frame, protocols
from cervix.evaluation.left_out import LeftOut, left_out_sources, left_out_table, worst_answered
from cervix.evaluation.metrics import METRICS, ranking_interval
from cervix.evaluation.published import (
    DEFAULT,
    GUIDING,
    NEAR,
    leading_agreement,
    published_risks,
    risk_title,
    share,
    step_agreement,
    worst_cells,
)
from cervix.evaluation.questions import Question
from cervix.intervals import Interval

ACCEPTABLE, EXCELLENT = 0.7, 0.8
"""AUROC from which a ranking is called acceptable, and excellent (Hosmer, Lemeshow and Sturdivant 2013, Applied Logistic
Regression, 5.2.4)."""
NO_RIVAL = ("oracle",)
"""Baselines that know what nobody can know: a ceiling, not a rival."""
CROSS_VALIDATION, CLASSIFIER = "cross-validation", "classifier"
"""Id of the table of repeated cross-validation, and its column of names: this model, its rivals, differences."""
Picture = Literal["laboratories", "published", "leakage", "rivals"]


@dataclass(frozen=True)
class Figure:
    """A figure as a summary shows it, every part text.

    Attributes
    ----------
    measure : str
        What kind of figure it is, where the title does not say.
    interval : str
        The limits of 95 %; empty where the figure has none.
    n : str
        Of how many cases.
    world : str
        What those cases are: real or simulated, from where.
    """

    title: str
    value: str
    interval: str
    n: str
    world: str
    measure: str = "AUROC"


@dataclass(frozen=True)
class Summary:
    """A model on one screen.

    Attributes
    ----------
    verdict : str
        One sentence or two.
    figures : list of Figure
        At most three.
    facts : heading -> sentence
        Strongest rival, worst failure, published against measured: those that there are.
    picture : str, optional
        Which one picture shows the verdict; None for an unevaluated model, of which there is nothing to show.
    """

    what: str
    verdict: str
    figures: list[Figure]
    facts: dict[str, str]
    picture: Picture | None


class Rival(NamedTuple):
    """The strongest simple rival on the cases of a question.

    Attributes
    ----------
    gain : Interval
        AUROC of the model less its own, on the same draws.
    """

    title: str
    auroc: Interval
    gain: Interval


def summary_of(bundle: Bundle, model: Model) -> Summary:
    """The summary of a model, computed once a process.

    Raises ``BundleError`` or ``EvaluationError`` where a table or the predictions are not what they should be.
    """
    return _made(_Once(bundle, model))


class _Once:
    """A bundle and one of its models, equal to another of the same manifest."""

    def __init__(self, bundle: Bundle, model: Model) -> None:
        self.bundle, self.model = bundle, model
        self._key = bundle.root, bundle.sha256, model.id

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Once) and other._key == self._key


@lru_cache(maxsize=32)
def _made(of: _Once) -> Summary:
    bundle, model = of.bundle, of.model
    if model.evaluation is None:
        return Summary(model.limits[0], UNEVALUATED, [], {}, None)
    asked = [model.main_task, *([model.cancer_task] if model.tiles else [])]
    if not all(question_of(bundle, model, task).scores.has_both for task in asked):
        return Summary(model.limits[0], "Its held-out cases are all alike, so nothing can be said.", [], {}, "rivals")
    if left_out_table(model):
        return _of_laboratories(bundle, model)
    if model.evaluation.published_risks:
        return _of_published(bundle, model)
    if leakage_frame(bundle, model) is not None:
        return _of_leaks(bundle, model)
    return _of_rivals(bundle, model)


def world_of(model: Model) -> str:
    """What the held-out cases of a model are."""
    simulated = any(data.nature == "simulated" for data in model.training_data)
    if model.kind == "joint":
        return "made-up pairs"
    if model.kind in ("tile", "slide-head"):
        return f"drawn {cases_word(model)}" if simulated else "real tissue"
    if model.kind == "molecular":
        return f"drawn {cases_word(model)}" if simulated else f"real tumours{' of the cervix' if model.saw_cervix else ''}"
    return "simulated women" if simulated else "real women"


def cases_word(model: Model) -> str:
    """What the cases of a model are called."""
    words = {"tile": "tiles", "slide-head": "slides", "joint": "pairs", "molecular": "tumours"}
    return words.get(model.kind, "women")


def auroc_short(value: float) -> str:
    """Two decimals; what would round to 1 without being it is ``>0.99``."""
    return ">0.99" if 0.995 <= value < 1 else f"{value:.2f}"


def ranking_word(auroc: float) -> str:
    """How a ranking is called by its AUROC."""
    return "Ranks well" if auroc >= EXCELLENT else "Ranks acceptably" if auroc >= ACCEPTABLE else "Tells little"


def question_of(bundle: Bundle, model: Model, task: DerivedTask, baseline: str = "") -> Question:
    """A question to the held-out cases: at the model's own threshold, of a baseline at a half, as comparisons have it."""
    return held_out(bundle, model, task, BASELINE_THRESHOLD if baseline else model.threshold(task.id), baseline)


def strongest_rival(bundle: Bundle, model: Model, task: DerivedTask) -> Rival | None:
    """The baseline with the highest AUROC, those left out that know what nobody can; None without one.

    The question needs cases with and without.
    """
    own = question_of(bundle, model, task).scores
    rivals = {
        baseline.title: question_of(bundle, model, task, baseline.id)
        for baseline in model.measured.baselines
        if baseline.id not in NO_RIVAL
    }
    if not rivals:
        return None
    title, rival = max(rivals.items(), key=lambda item: item[1].scores.auroc_value())
    gain = ranking_interval("auroc", own.positive, own.score, own.groups, rival=rival.scores.score)
    return Rival(title, rival.report().metrics["auroc"], gain)


def _of_laboratories(bundle: Bundle, model: Model) -> Summary:
    """A model of tiles: what is left of it in a laboratory that it did not learn from."""
    declared = left_out_table(model)
    assert declared is not None
    rows = left_out_sources(load_table(bundle, declared))
    ranked = [(row, row.auroc) for row in rows if row.auroc]
    task = model.cancer_task
    own = question_of(bundle, model, task).report()
    figures = [_auroc_figure(bundle, model, task, f"{task.title}, in its laboratories")]
    rival = strongest_rival(bundle, model, task)
    inside = own.metrics["auroc"]
    verdict = f"{_holds(inside)} its laboratories (AUROC {auroc_short(inside.value)})"
    if ranked:
        worst, lowest = ranked[0]
        title = "A new laboratory, the worst" if len(ranked) > 1 else "A new laboratory"
        figures.append(Figure(title, auroc_short(lowest.value), _limits(lowest), worst.size, f"{worst.source}, left out"))
        of = f"the worst of {len(ranked)} new ones" if len(ranked) > 1 else "a new one"
        falls = lowest.high < inside.low
        verdict += f"{', falls to' if falls else ', and comes to'} {auroc_short(lowest.value)} in {of}"
    figures += [
        _auroc_figure(bundle, model, other, f"{other.title}, in its laboratories")
        for other in (model.main_task,)
        if other.id != task.id
    ]
    facts = _rival_fact(rival, own.n, model) | {"Worst failure": _worst_laboratory(worst_answered(rows))}
    return Summary(
        model.limits[0], f"{verdict}.{_no_better(rival)}", figures[:3], facts | _published_fact(bundle, model), "laboratories"
    )


def _of_published(bundle: Bundle, model: Model) -> Summary:
    """A model of histories: how near it comes to what is published of real women."""
    table = published_risks(bundle, model)
    assert table is not None
    task, rival = model.main_task, strongest_rival(bundle, model, model.main_task)
    figures, facts = [_auroc_figure(bundle, model, task)], _rival_fact(rival, _n(bundle, model, task), model)
    verdict = f"No published risk of {risk_title(*DEFAULT)} is known well enough to hold it against."
    if found := leading_agreement(table, *DEFAULT):
        near, rows = found[0], found[0].rows
        within = near.within[NEAR]
        title = f"Within a factor of {NEAR:g} of published risks"
        figures.append(
            Figure(title, _whole(within.value), _whole_limits(within), f"{near.cells} histories", "published, real women", "")
        )
        verdict = (
            f"Within a factor of {NEAR:g} of what is published of real women in {_whole(within.value)} of {near.cells} "
            f"histories that {rows} the simulator."
        )
        worst = worst_cells(table[table["guides"] == (rows == GUIDING)], *DEFAULT, count=1).iloc[0]
        facts["Worst failure"] = (
            f"{_capital(worst['history'])}: published {share(worst['published'])}, model {share(worst['model'])} of "
            f"{risk_title(*DEFAULT)}; {worst['women']:,.0f} women."
        )
    if steps := step_agreement(table):
        figures.append(
            Figure(
                "Its step is the published one", _whole(steps.same.value), _whole_limits(steps.same),
                f"{steps.histories} histories", f"published, real women; milder in {steps.milder}", "",
            )
        )  # fmt: skip
    verdict += _no_better(rival, f" on its {world_of(model)}")
    return Summary(model.limits[0], verdict, figures[:3], facts | _published_fact(bundle, model), "published")


def _of_leaks(bundle: Bundle, model: Model) -> Summary:
    """A model of a small table: what is left without a leak."""
    frame = leakage_frame(bundle, model)
    assert frame is not None
    task = model.main_task
    held_out_figure = _auroc_figure(bundle, model, task, f"{task.title}, one test split")
    crossed, rival_words, no_better = _cross_validated(bundle, model, task)
    rival = None if crossed else strongest_rival(bundle, model, task)
    figures = [*([crossed[0]] if crossed else []), held_out_figure]
    value = crossed[1] if crossed else question_of(bundle, model, task).scores.auroc_value()
    verdict = f"{ranking_word(value)}: AUROC {auroc_short(value)}{' in repeated cross-validation' if crossed else ''}."
    facts = {"Strongest rival": rival_words} if rival_words else _rival_fact(rival, _n(bundle, model, task), model)
    if found := leak(protocols(frame), value):
        honest, leaked = found
        figures.append(
            Figure(
                "The same table with a leak",
                auroc_short(leaked.auroc.value),
                _limits(leaked.auroc),
                leaked.size,
                "not to be believed",
            )
        )
        verdict += (
            f" A leak makes {auroc_short(leaked.auroc.value)} of an honest {auroc_short(honest.auroc.value)} on the same table."
        )
        facts["Worst failure"] = _worst_leak(honest, leaked)
    verdict += no_better or _no_better(rival)
    return Summary(model.limits[0], verdict, figures[:3], facts | _published_fact(bundle, model), "leakage")


def _of_rivals(bundle: Bundle, model: Model) -> Summary:
    """Any other model: itself beside its rivals."""
    task, others = model.main_task, [other for other in model.derived_tasks if other.id != model.main_task.id]
    rival = strongest_rival(bundle, model, task)
    own = question_of(bundle, model, task).scores
    value = own.auroc_value()
    verdict = f"{ranking_word(value)} on {world_of(model)} (AUROC {auroc_short(value)})"
    figures, facts = [_auroc_figure(bundle, model, task)], _rival_fact(rival, len(own.score), model)
    if rival:
        figures.append(
            Figure(rival.title, auroc_short(rival.auroc.value), _limits(rival.auroc), figures[0].n, "the same cases")
        )
        if rival.gain.low > 0:
            verdict += f", {rival.gain.value:.2f} above the best rival ({_lower(rival.title)})"
    asked = [(other, question_of(bundle, model, other).scores) for other in others]
    ranked = [(scores.auroc_value(), other) for other, scores in asked if scores.has_both]
    if ranked:
        lowest, worst = min(ranked, key=lambda item: item[0])
        figures.append(_auroc_figure(bundle, model, worst))
        if lowest < value:
            figure = figures[-1]
            facts["Worst failure"] = f"{worst.title}: AUROC {figure.value} ({figure.interval}); {figure.n}."
    if not others:
        figures.append(_found_figure(bundle, model, task))
    facts.setdefault("Worst failure", _misses(bundle, model, task))
    return Summary(
        model.limits[0], f"{verdict}.{_no_better(rival)}", figures[:3], facts | _published_fact(bundle, model), "rivals"
    )


def _n(bundle: Bundle, model: Model, task: DerivedTask) -> int:
    return len(question_of(bundle, model, task).scores.score)


def main_figure(bundle: Bundle, model: Model) -> Figure:
    """AUROC of the main question to the held-out cases; ``EvaluationError`` for an unevaluated model."""
    return _auroc_figure(bundle, model, model.main_task)


def _auroc_figure(bundle: Bundle, model: Model, task: DerivedTask, title: str = "") -> Figure:
    """AUROC of a question to the held-out cases; a dash where they are all alike."""
    report = question_of(bundle, model, task).report()
    groups = f", {report.groups:,} groups" if report.groups < report.n else f", {report.positives:,} positive"
    n, world = f"{report.n:,} {cases_word(model)}{groups}", f"{world_of(model)}, held out"
    if "auroc" not in report.metrics:
        return Figure(title or task.title, "–", "", n, world)
    auroc = report.metrics["auroc"]
    return Figure(title or task.title, auroc_short(auroc.value), _limits(auroc), n, world)


def _cross_validated(bundle: Bundle, model: Model, task: DerivedTask) -> tuple[tuple[Figure, float] | None, str, str]:
    """Figure and AUROC by repeated cross-validation, the strongest rival there in words, and whether it is as good."""
    declared = next((table for table in model.tables if table.id == CROSS_VALIDATION), None)
    if declared is None:
        return None, "", ""
    table = load_table(bundle, declared)
    try:
        rows = table[[CLASSIFIER, "AUROC", "n"]].to_dict("records")
        own, others = parsed_decimal(rows[0]["AUROC"]), rows[1:]
        rivals = [(parsed_decimal(row["AUROC"]), row) for row in others if row["AUROC"][:1].isdigit()]
        gains = [row for row in others if row["AUROC"][:1] in "+-"]
        size = rows[0]["n"]
    except (KeyError, ValueError, IndexError) as error:
        raise BundleError("The table of cross-validation cannot be read", expected="figures", found=str(error)) from error
    figure = Figure(
        f"{task.title}, repeated cross-validation", auroc_short(own.value), _limits(own), size, world_of(model)
    )  # fmt: skip
    if not rivals:
        return (figure, own.value), "", ""
    rival, row = max(rivals, key=lambda item: item[0].value)
    gain = f"; {gains[0][CLASSIFIER]} {gains[0]['AUROC']}" if gains else ""
    words = f"{row[CLASSIFIER]}: AUROC {decimal(rival)}{gain}; {size}."
    as_good = rival.value >= own.low
    return (figure, own.value), words, f" No better than {_lower(row[CLASSIFIER])}." if as_good else ""


def _rival_fact(rival: Rival | None, n: int, model: Model) -> dict[str, str]:
    if rival is None:
        return {}
    said = (
        f"{rival.title}: AUROC {auroc_short(rival.auroc.value)} ({_limits(rival.auroc)}); the model gains {signed(rival.gain)}"
    )
    return {"Strongest rival": f"{said}, on the same {n:,} {cases_word(model)}."}


def _no_better(rival: Rival | None, where: str = "") -> str:
    """A sentence where chance explains what the model gains; nothing where it does not."""
    return f" No better than {_lower(rival.title)}{where}." if rival and rival.gain.low <= 0 else ""


def _found_figure(bundle: Bundle, model: Model, task: DerivedTask) -> Figure:
    """Sensitivity at the model's own threshold."""
    report = question_of(bundle, model, task).report()
    found = report.metrics["recall"]
    return Figure(
        "Found at its own threshold",
        _whole(found.value),
        _whole_limits(found),
        f"{report.positives:,} {cases_word(model)} that have it",
        f"{world_of(model)}, held out",
        "sensitivity",
    )


def _misses(bundle: Bundle, model: Model, task: DerivedTask) -> str:
    report = question_of(bundle, model, task).report()
    healthy = report.n - report.positives
    return (
        f"At its own threshold it misses {report.false_negative:,} of {report.positives:,} {cases_word(model)} that have it "
        f"and flags {report.false_positive:,} of {healthy:,} that do not."
    )


def _worst_laboratory(row: LeftOut) -> str:
    return f"{row.source}, left out: {percent(row.wrong)} of its tiles are answered and wrong; {row.size}."


def _worst_leak(honest: Protocol, leaked: Protocol) -> str:
    return f"{_capital(leaked.title)}: AUROC {decimal(leaked.auroc)} where {decimal(honest.auroc)} is honest; {leaked.size}."


def _published_fact(bundle: Bundle, model: Model) -> dict[str, str]:
    """The highest figure that a publication gives to the main question, beside ours."""
    figures = [figure for figure in model.measured.published if figure.task == model.main_task.id]
    chosen = [figure for figure in figures if figure.metric == "accuracy"] or figures
    if not chosen:
        return {"Published, measured": "Nothing is published that it could be held against."}
    best = max(chosen, key=lambda figure: figure.value)
    report = question_of(bundle, model, model.main_task).report()
    if best.metric not in report.metrics:
        return {}
    title = METRICS[best.metric].title.lower() if best.metric != "auroc" else "AUROC"
    commoner = max(report.positives, report.n - report.positives) / report.n
    trivial = f"; one answer for all has {100 * commoner:.1f} %" if best.metric == "accuracy" else ""
    return {
        "Published, measured": (
            f"{best.source}: {title} {100 * best.value:.4g} %. Measured here: "
            f"{in_words(best.metric, report.metrics[best.metric])} on {report.n:,} {cases_word(model)}{trivial}."
        )
    }


def _holds(inside: Interval) -> str:
    return "Holds within" if inside.low >= EXCELLENT else "Is not sure even within"


def _limits(of: Interval) -> str:
    return f"{of.low:.2f}–{of.high:.2f}"


def _whole(value: float) -> str:
    return f"{100 * value:.0f} %"


def _whole_limits(of: Interval) -> str:
    return f"{100 * of.low:.0f}–{100 * of.high:.0f} %"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _lower(title: str) -> str:
    """Within a sentence: the first word in lower case unless it is a name in capitals."""
    return title if title[1:2].isupper() else title[:1].lower() + title[1:]
