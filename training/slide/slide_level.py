"""From tiles to slides: the slide rule fitted on pseudo-slides, which are put together from whole source groups.

No slide with a known diagnosis is at hand. A pseudo-slide is made of tiles of one laboratory as a slide is of its own: field by
field, a field being a source group of which tiles are drawn with repetition, so that neighbours are alike.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import label as components
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cervix.bundle.classes import ClassInfo, Role
from cervix.bundle.manifest import SlideRule, within_novelty
from cervix.evaluation.comparison import percent
from cervix.intervals import wilson_interval
from cervix.slides.decision import VERDICTS, TileCounts, TileShares, Verdict, count_tiles, finding_of, tile_shares
from training.slide.checks.laboratories import FEWEST

STRANGE = "strange"
"""The label, and the laboratory, of pictures that are no histology: they are mixed into slides and make none."""
PRESENT_NOVEL_SHARE, PRESENT_MINIMUM_TILES = 0.5, 8
"""What was judged before anything was fitted on slides."""
FALSE_POSITIVE_SHARES = (0.1, 0.15, 0.2, 0.3, 0.4, 0.6)
TOUCHING = 0.84
"""Two intervals at this level that just do not touch differ at about 5 %; two at 95 % would ask for more (Goldstein and Healy
1995, J R Stat Soc A 158:175-177)."""
CERTAINTIES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
BY_SHARE, BY_ACCEPTED = "share of the read tiles, neighbours alike", "share of the accepted tiles, neighbours alike"
PRESENT = "share of the accepted tiles, tiles independent, limits judged"
BY_LOGISTIC, BY_CLUSTERS = "logistic regression on shares", "… and on the largest cluster of cancerous tiles"
SHIPPED = f"{BY_SHARE}: shipped"


@dataclass(frozen=True)
class ScoredTiles:
    """Tiles with what a model makes of them that learned from none of them.

    Attributes
    ----------
    probabilities : (n, classes)
    novelty : (n,)
    labels : (n,) id of the class, or ``STRANGE``
    groups, laboratory : (n,)
    """

    probabilities: NDArray[np.floating]
    novelty: NDArray[np.floating]
    labels: NDArray[np.str_]
    groups: NDArray[np.str_]
    laboratory: NDArray[np.str_]

    def of(self, here: NDArray[np.bool_]) -> "ScoredTiles":
        """The tiles that are marked, in their order."""
        return ScoredTiles(*(values[here] for values in vars(self).values()))

    def beside(self, more: "ScoredTiles") -> "ScoredTiles":
        """These tiles, then those."""
        pairs = zip(vars(self).values(), vars(more).values(), strict=True)
        return ScoredTiles(*(np.concatenate(pair) for pair in pairs))


@dataclass(frozen=True)
class Calling:
    """How the model's numbers are read: its classes, from where on a tile is called cancerous, and its novelty limit."""

    classes: Sequence[ClassInfo]
    called_at: float
    novelty_limit: float

    def role(self, of_class: str) -> Role:
        return next(item.role for item in self.classes if item.id == of_class)

    def known(self, tiles: ScoredTiles) -> NDArray[np.bool_]:
        """Which tiles are accepted: ``(n,)``."""
        return within_novelty(tiles.novelty, tiles.probabilities, self.novelty_limit)

    def benign(self, tiles: ScoredTiles) -> NDArray[np.bool_]:
        """Which tiles are labelled benign: ``(n,)``."""
        return np.isin(tiles.labels, [item.id for item in self.classes if item.role == "benign"])

    def mass(self, tiles: ScoredTiles) -> NDArray[np.float64]:
        """Probability of carcinoma: ``(n,)``."""
        return np.asarray(tiles.probabilities[:, [item.role == "malignant" for item in self.classes]].sum(axis=1), np.float64)

    def called(self, tiles: ScoredTiles) -> NDArray[np.bool_]:
        """Which tiles are accepted and called cancerous: ``(n,)``."""
        return self.known(tiles) & (self.mass(tiles) >= self.called_at)


class PseudoSlide(NamedTuple):
    """The tiles of a made slide, field by field as they lie."""

    laboratory: str
    of_class: str
    """What it is a slide of: benign, one type of carcinoma among benign tissue, or other tissue."""
    tiles: NDArray[np.int64]
    """Places in the ``ScoredTiles`` it was made of."""


def pseudo_slides(
    tiles: ScoredTiles, calling: Calling, settings: Mapping[str, Any], seed: int
) -> list[PseudoSlide]:  # fmt: skip
    """Equally many slides of every class of every laboratory.

    Carcinoma lies among benign tissue of its laboratory where it has some, and fills the slide where it has none. Strange
    pictures are mixed into a part of the slides, but not of those of other tissue, which are to be refused without them.

    Parameters
    ----------
    settings : ``slides``, ``sizes`` in tiles, ``tiles_per_field``, ``carcinoma_from``, ``strange_slides``, ``strange_up_to``
    """
    rng = np.random.default_rng(seed)
    fields = {
        cell: [part.to_numpy() for _, part in places.groupby(tiles.groups[places.to_numpy()])]
        for cell, places in pd.Series(np.arange(len(tiles.labels))).groupby([tiles.laboratory, tiles.labels])
    }
    strange = np.flatnonzero(tiles.labels == STRANGE)
    benign = {lab: groups for (lab, name), groups in fields.items() if name != STRANGE and calling.role(str(name)) == "benign"}
    made = []
    for (laboratory, of_class), groups in fields.items():
        if of_class == STRANGE:
            continue
        role = calling.role(str(of_class))
        for _ in range(settings["slides"]):
            size = int(rng.integers(settings["sizes"][0], settings["sizes"][1] + 1))
            share = rng.uniform(0, settings["strange_up_to"]) if rng.random() < settings["strange_slides"] else 0.0
            odd = int(share * size) if len(strange) and role != "other" else 0
            size -= odd
            among = benign.get(laboratory) if role == "malignant" else None
            own = max(1, round(rng.uniform(settings["carcinoma_from"], 1) * size)) if among else size
            parts = [_drawn(groups, own, settings["tiles_per_field"], rng)]
            if among and size > own:
                parts.append(_drawn(among, size - own, settings["tiles_per_field"], rng))
            if odd:
                parts.append(rng.choice(strange, odd))
            made.append(PseudoSlide(str(laboratory), str(of_class), np.concatenate(parts)))
    return made


def _drawn(groups: list[NDArray[np.int64]], size: int, tiles_per_field: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """So many tiles in fields of ``tiles_per_field``, each of one group and no two of the same while there are others."""
    fields = -(-size // tiles_per_field)
    order = np.concatenate([rng.permutation(len(groups)) for _ in range(-(-fields // len(groups)))])[:fields]
    return np.concatenate([rng.choice(groups[place], tiles_per_field) for place in order])[:size]


def intraclass_correlation(
    values: NDArray[np.floating], cells: NDArray[np.str_], groups: NDArray[np.str_]
) -> float:  # fmt: skip
    """How alike tiles of one group are, beyond what they share with all of their cell: between 0 and 1.

    One-way analysis of variance (Donner 1986, Int Stat Rev 54:67-82) within each cell of several groups, components of variance
    pooled by groups. 0 where no group has two tiles.
    """
    between = within = 0.0
    for _, cell in pd.DataFrame({"value": values, "group": groups}).groupby(np.asarray(cells)):
        sizes = cell.groupby("group")["value"].agg(["size", "mean"])
        count, total = len(sizes), len(cell)
        if count < 2 or total == count:
            continue
        typical = (total - (sizes["size"] ** 2).sum() / total) / (count - 1)
        of_groups = (sizes["size"] * (sizes["mean"] - cell["value"].mean()) ** 2).sum() / (count - 1)
        of_tiles = ((cell["value"] - cell["group"].map(sizes["mean"])) ** 2).sum() / (total - count)
        between += count * (of_groups - of_tiles) / typical
        within += count * of_tiles
    return float(max(0.0, between / (between + within))) if between + within > 0 else 0.0


def design_effect(tiles: ScoredTiles, calling: Calling, tiles_per_field: int) -> float:
    """How many tiles of fields of this size tell as much as one independent tile: ``1 + (m - 1) ICC`` (Kish 1965, 8.2).

    The correlation is that of the probability of carcinoma, within the classes of each laboratory.
    """
    real = tiles.of(tiles.labels != STRANGE)
    cells = np.char.add(np.char.add(real.laboratory, "/"), real.labels)
    return 1 + (tiles_per_field - 1) * intraclass_correlation(calling.mass(real), cells, real.groups)


class FalsePositives(NamedTuple):
    """Benign tiles that are accepted and called cancerous, of the laboratory where they can be ruled out least."""

    limit: float
    """Upper Wilson limit at the level ``TOUCHING``."""
    share: float
    """Mean over source groups of the share of their tiles."""
    groups: int
    laboratory: str


def false_positives(
    called: NDArray[np.bool_], benign: NDArray[np.bool_], groups: NDArray[np.str_], laboratory: NDArray[np.str_]
) -> FalsePositives:
    """The laboratory with the highest upper limit, of those with ``FEWEST`` benign groups; all as one where none has.

    Parameters
    ----------
    called : (n,) whether each tile is accepted and called cancerous
    """
    frame = pd.DataFrame({"group": groups, "laboratory": laboratory, "called": called})[benign]
    by_group = frame.groupby(["laboratory", "group"])["called"].mean()
    sizes = by_group.groupby("laboratory").transform("size")
    enough = by_group[sizes >= FEWEST]
    parts = enough.groupby("laboratory") if len(enough) else [("all", by_group)]
    return max(
        FalsePositives(
            wilson_interval(part.sum(), len(part), confidence=TOUCHING).high, float(part.mean()), len(part), str(name)
        )
        for name, part in parts
    )


class Goals(NamedTuple):
    """The most of pseudo-slides of a kind that may be answered wrongly where limits are fitted."""

    benign_called: float
    cancer_cleared: float
    other_answered: float


@dataclass(frozen=True)
class _Made:
    """Pseudo-slides and what a rule may know of them."""

    slides: list[PseudoSlide]
    counts: list[TileCounts]
    roles: NDArray[np.str_]
    right_type: NDArray[np.bool_]
    groups: list[NDArray[np.str_]]
    clusters: NDArray[np.float64]
    expected: NDArray[np.float64]
    """(slides, 2): called and accepted tiles that each would have, if its tiles were as those of their class and laboratory."""


def _make(tiles: ScoredTiles, calling: Calling, settings: Mapping[str, Any], seed: int) -> _Made:
    slides = pseudo_slides(tiles, calling, settings, seed)
    called, known = calling.called(tiles), calling.known(tiles)
    top = np.array([item.id for item in calling.classes])[tiles.probabilities.argmax(axis=1)]
    cells = pd.DataFrame({"called": called, "known": known}).groupby([tiles.laboratory, tiles.labels])
    rates = cells.transform("mean").to_numpy()
    right = []
    for slide in slides:
        types, times = np.unique(top[slide.tiles[called[slide.tiles]]], return_counts=True)
        right.append(len(types) > 0 and types[times.argmax()] == slide.of_class)
    return _Made(
        slides,
        [
            count_tiles(
                tiles.probabilities[slide.tiles], tiles.novelty[slide.tiles], calling.classes, calling.called_at,
                calling.novelty_limit,
            )
            for slide in slides
        ],
        np.array([calling.role(slide.of_class) for slide in slides]),
        np.array(right),
        [np.unique(tiles.groups[slide.tiles]) for slide in slides],
        np.array([largest_cluster(called[slide.tiles]) for slide in slides], np.float64),
        np.array([rates[slide.tiles].sum(axis=0) for slide in slides]),
    )  # fmt: skip


def largest_cluster(called: NDArray[np.bool_]) -> int:
    """Tiles of the largest connected part of those called, where a slide's tiles lie to and fro on a square."""
    side = int(np.ceil(np.sqrt(len(called))))
    grid = np.zeros((side, side), bool)
    grid.flat[: len(called)] = called
    grid[1::2] = grid[1::2, ::-1]
    found, _ = components(grid)
    return int(np.bincount(found.ravel())[1:].max(initial=0))


def _shares(made: _Made, rule: SlideRule) -> list[TileShares]:
    return [tile_shares(counts, rule) for counts in made.counts]


def _verdicts(made: _Made, shares: list[TileShares], rule: SlideRule) -> NDArray[np.str_]:
    pairs = zip(made.counts, shares, strict=True)
    return np.array([VERDICTS[finding_of(counts, share, rule)] for counts, share in pairs])


def _within(made: _Made, verdicts: NDArray[np.str_], goals: Goals) -> bool:
    """Whether no kind of slide is answered wrongly more often than it may."""
    called, cleared = verdicts == "cancer", verdicts == "no-cancer"
    return all(
        wrong[here].sum() <= most * here.sum()
        for here, wrong, most in (
            (made.roles == "benign", called, goals.benign_called),
            (made.roles == "malignant", cleared, goals.cancer_cleared),
            (made.roles == "other", called | cleared, goals.other_answered),
        )
    )


def _answered(made: _Made, verdicts: NDArray[np.str_]) -> float:
    """Share of the slides of known tissue that are called or cleared."""
    return float(np.isin(verdicts[made.roles != "other"], ("cancer", "no-cancer")).mean())


def _fit(
    made: _Made, tiles: ScoredTiles, calling: Calling, settings: Mapping[str, Any], share_of: str
) -> SlideRule:  # fmt: skip
    """Limits with which most slides are answered while none of ``Goals`` is missed.

    The false-positive share is what no laboratory's benign groups rule out, or more where benign slides are still called too
    often. Of settings within a standard error of the best the strictest is taken (Breiman et al. 1984, 3.4.3): a few source
    groups decide which is best.
    """
    goals = Goals(**settings["goals"])
    most = false_positives(calling.called(tiles), calling.benign(tiles), tiles.groups, tiles.laboratory)
    effect = design_effect(tiles, calling, settings["tiles_per_field"])

    def rule(novel: float, missed: float, minimum: int, share: float, chosen_by: str = "") -> SlideRule:
        return SlideRule(
            minimum_tiles=minimum, false_positive_share=share, novel_share_limit=novel, share_of=share_of,  # type: ignore[arg-type]
            design_effect=effect, missed_share_limit=missed, chosen_by=chosen_by,
        )  # fmt: skip

    steps = (most.limit, *(step for step in FALSE_POSITIVE_SHARES if step > most.limit))
    choices = sorted(
        product(settings["novel_share_limit"], settings["missed_share_limit"], settings["minimum_tiles"], steps),
        key=lambda one: (one[0], one[1], -one[2], one[3]),
    )
    strictest = (*choices[0][:3], steps[-1])
    shares = _shares(made, rule(*strictest))
    tried = {one: _verdicts(made, shares, rule(*one)) for one in choices}
    allowed = {one: _answered(made, verdicts) for one, verdicts in tried.items() if _within(made, verdicts, goals)}
    groups = len(np.unique(np.concatenate(made.groups)))
    best = max(allowed.values(), default=0.0)
    enough = best - np.sqrt(best * (1 - best) / groups)
    chosen = next((one for one in choices if allowed.get(one, -1.0) >= enough), strictest)
    met = "most are answered" if allowed else "no setting was good enough, so the strictest was taken"
    return rule(
        *chosen,
        chosen_by=(
            f"False-positive share: {'' if chosen[3] == most.limit else 'more than '}the upper {TOUCHING:.0%} Wilson limit for "
            f"{most.share:.1%} of benign validation tiles accepted and called cancerous in {most.groups} source groups of "
            f"{most.laboratory}, the laboratory with the highest. "
            f"Other limits: on {len(made.slides):,} pseudo-slides of {groups} validation source groups {met}, with at most "
            f"{goals.benign_called:.0%} of benign ones called, {goals.cancer_cleared:.0%} of those with carcinoma cleared and "
            f"{goals.other_answered:.0%} of other tissue answered; of settings within a standard error of that the strictest. "
            f"Design effect: correlation of tiles of one source group, for fields of {settings['tiles_per_field']} tiles. No "
            "whole slide with a known diagnosis was at hand."
        ),
    )


def present_rule(tiles: ScoredTiles, calling: Calling) -> SlideRule:
    """The rule as it was before anything was fitted on slides: for comparison."""
    benign, called = calling.benign(tiles), calling.mass(tiles) >= calling.called_at
    return SlideRule(
        minimum_tiles=PRESENT_MINIMUM_TILES,
        false_positive_share=wilson_interval(
            len(np.unique(tiles.groups[benign & called])), len(np.unique(tiles.groups[benign]))
        ).high,
        novel_share_limit=PRESENT_NOVEL_SHARE,
        chosen_by="",
    )


def with_new_head(rule: SlideRule, tiles: ScoredTiles, calling: Calling) -> SlideRule:
    """The same rule where only the head of the model has changed: its false-positive share is never less than it was.

    Parameters
    ----------
    tiles : validation tiles by the new head
    """
    most = false_positives(calling.called(tiles), calling.benign(tiles), tiles.groups, tiles.laboratory)
    said = (
        f"After the head had learned from labels, {most.share:.1%} of benign validation tiles of {most.groups} source groups "
        f"are called cancerous and not in doubt; the false-positive share is at least their upper {TOUCHING:.0%} Wilson limit, "
        f"{most.limit:.1%}."
    )
    return rule.model_copy(
        update={
            "false_positive_share": max(rule.false_positive_share, most.limit), "chosen_by": f"{rule.chosen_by} {said}",
        }
    )  # fmt: skip


class _Bag:
    """Multinomial logistic regression on what is counted of a slide, for comparison."""

    def __init__(self, made: _Made, goals: Goals, *, clusters: bool) -> None:
        self.clusters = clusters
        self.model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000, class_weight="balanced"))
        self.model.fit(self._features(made), made.roles)
        self.limits = (1.0, 1.0)
        best = -1.0
        for limits in product(CERTAINTIES, CERTAINTIES):
            verdicts = self._verdicts(made, limits)
            if _within(made, verdicts, goals) and (answered := _answered(made, verdicts)) > best:
                best, self.limits = answered, limits

    def verdicts(self, made: _Made) -> NDArray[np.str_]:
        return self._verdicts(made, self.limits)

    def _verdicts(self, made: _Made, limits: tuple[float, float]) -> NDArray[np.str_]:
        told = dict(zip(self.model.classes_, self.model.predict_proba(self._features(made)).T, strict=True))
        cancer, benign = (told.get(role, np.zeros(len(made.roles))) for role in ("malignant", "benign"))
        return np.where(cancer >= limits[0], "cancer", np.where(benign >= limits[1], "no-cancer", "undecided"))

    def _features(self, made: _Made) -> NDArray[np.float64]:
        counts = np.array(made.counts, np.float64).T
        scored, _, accepted, cancerous, other = counts
        columns = [cancerous / scored, cancerous / np.maximum(accepted, 1), accepted / scored, other / scored]
        columns += [np.log(scored), np.log1p(accepted), np.log1p(cancerous)]
        if self.clusters:
            columns += [made.clusters / scored, made.clusters / np.maximum(cancerous, 1)]
        return np.stack(columns, axis=1)


def fitted_rule(fit_on: ScoredTiles, calling: Calling, settings: Mapping[str, Any], seed: int) -> SlideRule:
    """The shipped rule alone, as ``fit_and_compare`` fits it: where there are no other tiles to measure it on."""
    return _fit(_make(fit_on, calling, settings, seed), fit_on, calling, settings, "read")


def fit_and_compare(
    fit_on: ScoredTiles, worlds: Mapping[str, ScoredTiles], calling: Calling, settings: Mapping[str, Any], seed: int
) -> tuple[SlideRule, pd.DataFrame]:
    """The shipped rule, and what it and others make of pseudo-slides of tiles that fitted nothing.

    Parameters
    ----------
    fit_on : validation tiles
    worlds : where pseudo-slides come from, in words -> their tiles; the last one is shown laboratory by laboratory too

    Returns
    -------
    The rule, and a table with a row a rule and world.
    """
    made = _make(fit_on, calling, settings, seed)
    goals = Goals(**settings["goals"])
    rules = {
        PRESENT: present_rule(fit_on, calling),
        BY_ACCEPTED: _fit(made, fit_on, calling, settings, "accepted"),
        SHIPPED: _fit(made, fit_on, calling, settings, "read"),
    }
    bags = {BY_LOGISTIC: _Bag(made, goals, clusters=False), BY_CLUSTERS: _Bag(made, goals, clusters=True)}
    rows: list[dict[str, str]] = []
    for number, (world, tiles) in enumerate(worlds.items(), start=1):
        other = _make(tiles, calling, settings, seed + number)
        everything = np.ones(len(other.slides), bool)
        verdicts = {name: _verdicts(other, _shares(other, rule), rule) for name, rule in rules.items()}
        for name, rule in rules.items():
            rows.append(_row(name, world, other, verdicts[name], everything, rule))
        for name, bag in bags.items():
            rows.append(_row(name, world, other, bag.verdicts(other), everything, None))
    shipped = rules[SHIPPED]
    rows.extend(_by_laboratory(world, other, verdicts[SHIPPED], shipped))
    return shipped, pd.DataFrame(rows)


def _by_laboratory(world: str, made: _Made, verdicts: NDArray[np.str_], rule: SlideRule) -> Iterator[dict[str, str]]:
    """Rows of the shipped rule for each laboratory, the most wrong first."""
    laboratory = np.array([slide.laboratory for slide in made.slides])
    wrong = _wrong(made, verdicts)
    for name in sorted(np.unique(laboratory), key=lambda name: -wrong[laboratory == name].mean()):
        yield _row(SHIPPED, f"{world}: {name}", made, verdicts, laboratory == name, rule)


def _wrong(made: _Made, verdicts: NDArray[np.str_]) -> NDArray[np.bool_]:
    """Benign and called, carcinoma and cleared or called another type, other tissue and answered: ``(slides,)``."""
    called, cleared = verdicts == "cancer", verdicts == "no-cancer"
    return np.asarray(
        ((made.roles == "benign") & called)
        | ((made.roles == "malignant") & (cleared | (called & ~made.right_type)))
        | ((made.roles == "other") & (called | cleared))
    )


def _row(
    name: str, world: str, made: _Made, verdicts: NDArray[np.str_], here: NDArray[np.bool_], rule: SlideRule | None
) -> dict[str, str]:
    def share(of: NDArray[np.bool_], among: NDArray[np.bool_]) -> str:
        among = among & here
        if not among.any():
            return "–"
        groups = np.unique(np.concatenate([made.groups[place] for place in np.flatnonzero(among)]))
        size = min(int(among.sum()), len(groups))
        return percent(wilson_interval(int(of[among].sum()), int(among.sum()), effective_n=size))

    def said(*which: Verdict) -> NDArray[np.bool_]:
        return np.isin(verdicts, which)

    benign, malignant, other = (made.roles == role for role in ("benign", "malignant", "other"))
    groups = np.unique(np.concatenate([made.groups[place] for place in np.flatnonzero(here)]))
    return {
        "rule": name,
        "pseudo-slides of": world,
        "answered": share(said("cancer", "no-cancer"), ~other),
        "right or refused": share(~_wrong(made, verdicts), np.ones_like(here)),
        "benign called cancer": share(said("cancer"), benign),
        "cancer found": share(said("cancer"), malignant),
        "cancer cleared": share(said("no-cancer"), malignant),
        "type right where called": share(made.right_type, malignant & said("cancer")),
        "other tissue answered": share(said("cancer", "no-cancer"), other),
        "interval holds": "–" if rule is None else share(_covered(made, rule), np.ones_like(here)),
        "n": f"{here.sum()} slides, {len(groups)} groups",
    }


def _covered(made: _Made, rule: SlideRule) -> NDArray[np.bool_]:
    """Whether the interval of the share holds what the slide's tiles would show if they were as those of their kind."""
    covered = []
    for counts, shares, (called, known) in zip(made.counts, _shares(made, rule), made.expected, strict=True):
        expected = called / (counts.scored if rule.share_of == "read" else max(known, 1e-9))
        covered.append(shares.cancerous is None or shares.cancerous.low <= expected <= shares.cancerous.high)
    return np.array(covered)
