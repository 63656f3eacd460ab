"""What a run over many slides amounts to: answers, what was not recognised, quality, refusals, speed."""

from datetime import UTC, datetime
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from cervix import RESEARCH_NOTICE, __version__
from cervix.archive.runs import RunOrder
from cervix.intervals import Interval, wilson_interval

VERDICTS: Final = {
    "cancer": "Cancer", "undecided": "Undecided", "no-cancer": "No cancerous tile", "abstained": "No answer",
}  # fmt: skip
"""Of ``cervix.slides.decision.Verdict``, in words for people, the one to look at first in front."""
UNNAMED: Final = "not stated"


class Share(BaseModel):
    """How many slides of all, with Wilson's 95 % interval."""

    model_config = ConfigDict(frozen=True)

    name: str
    slides: int
    of: int
    share: Interval


class Refusal(BaseModel):
    """Slides that were not scored for one reason."""

    model_config = ConfigDict(frozen=True)

    code: str
    slides: int
    state: str
    """``refused``, ``quarantined``, or ``waiting`` for another attempt."""
    example: str
    """The sentence of one of them."""


class Speed(BaseModel):
    """Tiles a second of the slides of one scanner or site. Slides whose score was there already are not among them."""

    model_config = ConfigDict(frozen=True)

    name: str
    slides: int
    median_tiles_per_s: float
    low_tiles_per_s: float
    high_tiles_per_s: float
    """10th and 90th percentile over slides."""


class RunSummary(BaseModel):
    """The figures of a run, each with the number of slides that it is of."""

    model_config = ConfigDict(frozen=True)

    made: str
    """ISO 8601, UTC."""
    bundle: str
    bundle_sha256: str
    app_version: str
    providers: list[str]
    started: str
    triage: bool
    slides: int
    states: dict[str, int]
    verdicts: list[Share]
    """Of the scored slides."""
    not_recognised: Share | None
    """Mean share of tiles not recognised over the scored slides; ``slides`` is how many have any. None without a slide."""
    quality: list[Share]
    """Scored slides by what the quality gate warned of."""
    refusals: list[Refusal]
    by_scanner: list[Speed]
    by_site: list[Speed]
    notice: str = RESEARCH_NOTICE


def summarise(answers: pd.DataFrame, order: RunOrder, notice: str) -> RunSummary:
    """Sum up a table of answers (``cervix.archive.results.answers.answers_table``)."""
    done = answers[answers["state"] == "done"]
    started = order.started.astimezone(UTC)
    return RunSummary(
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        bundle=order.bundle_label,
        bundle_sha256=order.bundle_sha256,
        app_version=__version__,
        providers=sorted(done["provider"].dropna().unique()),
        started=started.isoformat(timespec="seconds"),
        triage=order.triage,
        slides=len(answers),
        states={str(state): int(count) for state, count in answers["state"].value_counts().items()},
        verdicts=[share_of(words, int((done["verdict"] == name).sum()), len(done)) for name, words in VERDICTS.items()]
        if len(done)
        else [],
        not_recognised=_not_recognised(done),
        quality=_quality(done),
        refusals=_refusals(answers),
        by_scanner=_speeds(done, "scanner"),
        by_site=_speeds(done, "site"),
        notice=notice,
    )


def share_of(name: str, slides: int, of: int) -> Share:
    """A share of slides with its interval."""
    return Share(name=name, slides=slides, of=of, share=wilson_interval(slides, of))


def mean_share(shares: "pd.Series | NDArray[np.float64]") -> Interval:
    """Mean of a share over slides, with a 95 % interval that counts slides.

    A share varies at most as much as a yes or no with the same mean, so Wilson's interval of so many slides is not too narrow.
    """
    values = np.asarray(shares, np.float64)
    return wilson_interval(float(values.sum()), len(values))


def unrecognised_shares(done: pd.DataFrame) -> pd.Series:
    """Share of the scored tiles that are not recognised, of each slide that has any tile."""
    some = done[done["tiles"].fillna(0) > 0]
    return (some["unrecognised_tiles"] / some["tiles"]).astype("float64")


def _not_recognised(done: pd.DataFrame) -> Share | None:
    shares = unrecognised_shares(done)
    if shares.empty:
        return None
    return Share(name="Tiles not recognised", slides=int((shares > 0).sum()), of=len(shares), share=mean_share(shares))


def _quality(done: pd.DataFrame) -> list[Share]:
    if done.empty:
        return []
    words = done["quality"].fillna("").str.split(",").explode().str.strip()
    counts = words[words != ""].value_counts()
    return [share_of(str(word), int(count), len(done)) for word, count in counts.items()]


def _refusals(answers: pd.DataFrame) -> list[Refusal]:
    failed = answers[answers["state"].isin(["refused", "quarantined", "waiting"]) & (answers["code"].fillna("") != "")]
    groups = [
        Refusal(code=str(code), slides=len(rows), state=str(state), example=str(rows["reason"].iloc[0]))
        for (state, code), rows in failed.groupby(["state", "code"], observed=True)
    ]
    return sorted(groups, key=lambda group: (-group.slides, group.code))


def _speeds(done: pd.DataFrame, by: str) -> list[Speed]:
    # A score that was there already took no time.
    timed = done[done["tiles_per_s"].fillna(0.0) > 0]
    named = timed[by].fillna("").replace("", UNNAMED)
    speeds = []
    for name, rates in timed.groupby(named)["tiles_per_s"]:
        low, median, high = np.quantile(rates.to_numpy(np.float64), [0.1, 0.5, 0.9])
        speeds.append(
            Speed(name=str(name), slides=len(rates), median_tiles_per_s=float(median), low_tiles_per_s=float(low),
                  high_tiles_per_s=float(high))
        )  # fmt: skip
    return sorted(speeds, key=lambda speed: (-speed.slides, speed.name))
