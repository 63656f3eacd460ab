"""The summary of a run as Markdown."""

import pandas as pd

from cervix.archive.results.drift import RULE
from cervix.archive.results.summary import RunSummary, Share, Speed
from cervix.intervals import Interval
from cervix.plain_text import escaped


def percent(share: Interval) -> str:
    """A share with its limits, in per cent."""
    return f"{100 * share.value:.1f} % ({100 * share.low:.1f}–{100 * share.high:.1f})"


def summary_markdown(summary: RunSummary, drift: pd.DataFrame) -> str:
    """The figures of a run for people, each with n and its interval.

    Parameters
    ----------
    drift : DataFrame
        As ``cervix.archive.results.drift.drift_table``.
    """
    parts = [
        "# A run over many slides",
        f"**{summary.notice}**",
        f"Bundle {escaped(summary.bundle)} (`{summary.bundle_sha256[:12]}`), Cervix Workbench {summary.app_version}, on "
        f"{escaped(', '.join(summary.providers)) or 'no device yet'}. Started {summary.started}, summed up {summary.made}."
        + (" **Triage**: slides were scored only as far as their answer needed." if summary.triage else ""),
        f"{summary.slides:,} slides: " + ", ".join(f"{count:,} {state}" for state, count in summary.states.items()) + ".",
        "## Answers",
        _shares(summary.verdicts, "answer"),
        _not_recognised(summary),
        "## Quality",
        _shares(summary.quality, "warning") if summary.quality else "No warning, or no slide yet.",
        "## Not scored",
        _table(
            ["reason", "state", "slides", "for example"],
            [[one.code, one.state, f"{one.slides:,}", escaped(one.example)] for one in summary.refusals],
        )
        if summary.refusals
        else "None.",
        "## Speed",
        _speeds(summary.by_scanner, "scanner"),
        _speeds(summary.by_site, "site"),
        "## Drift",
        RULE,
        _flagged(drift),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def _shares(shares: list[Share], what: str) -> str:
    if not shares:
        return "No slide is scored yet."
    rows = [[escaped(one.name), f"{one.slides:,} of {one.of:,}", percent(one.share)] for one in shares]
    return _table([what, "slides", "share (95 % interval over slides)"], rows)


def _not_recognised(summary: RunSummary) -> str:
    told = summary.not_recognised
    if told is None:
        return ""
    return f"Tiles not recognised: {percent(told.share)} in the mean over {told.of:,} slides; {told.slides:,} have some."


def _speeds(speeds: list[Speed], what: str) -> str:
    rows = [
        [escaped(one.name), f"{one.slides:,}", f"{one.median_tiles_per_s:.1f}",
         f"{one.low_tiles_per_s:.1f}–{one.high_tiles_per_s:.1f}"]
        for one in speeds
    ]  # fmt: skip
    return _table([what, "slides", "tiles/s, median", "10th to 90th percentile"], rows) if rows else ""


def _flagged(drift: pd.DataFrame) -> str:
    few = drift.loc[drift["flag"] == "too few slides to tell", ["by", "group"]].drop_duplicates()
    told = f"{len(few):,} sites and days have too few slides to tell." if len(few) else ""
    flagged = drift[drift["flag"] == "flagged"]
    if flagged.empty:
        return f"Nothing is flagged. {told}".strip()
    rows = [
        [
            str(row["by"]),
            escaped(str(row["group"])),
            escaped(str(row["measure"])),
            f"{row['slides']:,}",
            percent(Interval(row["value"], row["low"], row["high"])),
            f"{100 * row['reference']:.1f} % ({row['compared_with']}, n = {row['reference_n']:,})",
            f"{row['adjusted_p']:.2g}",
        ]
        for row in flagged.to_dict("records")
    ]
    header = ["by", "group", "measure", "slides", "mean (95 % interval)", "beside it", "p, adjusted"]
    return "\n\n".join(part for part in (_table(header, rows), told) if part)
