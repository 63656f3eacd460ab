"""One reader's place at the label desk: the case in hand, the next one ready behind it, and undo."""

import statistics
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from cervix.errors import CervixError, LabelStoreUnavailable
from cervix.labels.desk.outbox import Outbox, Parcel
from cervix.labels.desk.ranking import Opinion, Ranking, Wish, rank
from cervix.labels.store.cases import Case, Scorer
from cervix.labels.store.events import Action, LabelEvent, new_key
from cervix.labels.store.label_store import LabelStore
from cervix.labels.store.truth import PACE_OVER

RANKED_AT_ONCE = 200
TOO_QUICK_S = 0.15
"""Nobody reads a case faster: it is a repeating key, or a second press that was meant for the case before."""
CONFIRMED_WITHIN_S = 0.1
LOADED_AFTER_S = 0.1
UNDONE_WITHIN_S = 3.0
ANSWERS_TO_GO_BACK = 50
PACE_FROM = 5
ELSEWHERE = "Another case was answered last under your name, in another window: that answer was undone, not this one."
TAKEN = "Somebody else has been given this case in the meantime. You can still answer it; it then has one more read."

_workers = ThreadPoolExecutor(8, thread_name_prefix="label-desk")
"""Load what comes next while readers look at what is there."""


@dataclass
class Shown:
    """A case before a reader.

    Attributes
    ----------
    view : what ``prepare`` made of it
    key : of the answer to come, made before the click
    blinded : whether they do not know what the model says of it
    since : moment of ``time.monotonic`` at which it was on the page first; None before
    """

    case: Case
    view: Any
    opinion: Opinion | None
    blinded: bool
    key: str = field(default_factory=new_key)
    since: float | None = None


@dataclass(frozen=True)
class Answered:
    """What one click said, of one case or of several."""

    shown: list[Shown]
    events: list[LabelEvent]
    parcel: Parcel
    undo_keys: list[str]


@dataclass(frozen=True)
class Standing:
    """How far a reader is.

    Attributes
    ----------
    read : cases of this kind that they have ever read
    left : cases still open to them within their wish when the queue was ranked, less what they answered since
    seconds : median from case to answer over their last hundred; None before any
    """

    read: int
    left: int
    seconds: float | None

    @property
    def an_hour(self) -> float | None:
        return 3600 / self.seconds if self.seconds else None


class LabelDesk:
    """Gives cases to one reader in one session, and takes their answers.

    An answer goes to the outbox, and the next case is there at once: it was leased and prepared while they looked at the one
    before. Two cases are leased at a time.

    Parameters
    ----------
    scorer : Scorer
        Whose scores rank the cases and stand beside the answers.
    prepare : callable
        What the page shows of a case, made in the background.
    ahead_after_s : float
        When the next case is loaded: not at once, which would keep the page from drawing the one in hand.
    clock : callable
        Seconds that only rise.

    Raises
    ------
    LabelStoreUnavailable
        If the store does not answer; everything can be asked for again.
    """

    def __init__(
        self,
        store: LabelStore,
        outbox: Outbox,
        scorer: Scorer,
        wish: Wish,
        default_strategy: str,
        prepare: Callable[[Case], Any],
        *,
        ahead_after_s: float = LOADED_AFTER_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.wish = wish
        self._store, self._outbox, self._prepare, self._clock = store, outbox, prepare, clock
        self._scorer = scorer
        self._default_strategy, self._ahead_after_s = default_strategy, ahead_after_s
        self._handed_out = self._answers = 0
        self._opinions: dict[str, Opinion] = {}
        self._ranking_ahead: Future[None] | None = None
        self.ranking = Ranking()
        self._rank(RANKED_AT_ONCE)
        progress = store.progress(wish.reader)
        own = progress[progress["kind"] == wish.kind]
        self._read, self._seconds_before = int(own["read"].sum()), float(own["seconds_median"].sum(min_count=1))
        self._seconds: deque[float] = deque(maxlen=PACE_OVER)
        self._current: Shown | None = None
        self._ready: deque[Shown] = deque()
        self._page: list[Shown] = []
        self._fetching: Future[Shown | None] | None = None
        self._answered: deque[Answered] = deque(maxlen=ANSWERS_TO_GO_BACK)
        self._seen: set[str] = set(self.ranking.answered)
        self.note = ""

    # What is before the reader

    def current(self) -> Shown | None:
        """The case in hand; None where nothing is left to read."""
        if self._current is None:
            self._page = []
            loaded_before = self._fetching is not None
            self._current = self._ready.popleft() if self._ready else self._fetched()
            if self._current is None and loaded_before:
                self._current = self._fetched()  # what others held then may be free now
            if self._current is not None and not self._ready:
                self._fetching = _workers.submit(self._fetch_ahead)
        return self._current

    def page(self, count: int) -> list[Shown]:
        """As many cases for a gallery, those without an answer first; fewer where no more is left."""
        if self._current is not None or self._ready or self._fetching is not None:
            self.close()
            self._current = None
            self._ready.clear()
        del self._page[count:]
        while len(self._page) < count:
            given = self._lease(self._in_hand(), count - len(self._page))
            if not given:
                break
            self._page += [self._shown(self._store.case(case), prepared=False) for case in given]
        return list(self._page)

    def on_page(self, *shown: Shown) -> None:
        """The clock of these cases starts, where it does not run yet."""
        for one in shown:
            one.since = self._clock() if one.since is None else one.since

    @property
    def last(self) -> Answered | None:
        """What they answered last, and may undo."""
        return self._answered[-1] if self._answered else None

    @property
    def standing(self) -> Standing:
        seconds = statistics.median(self._seconds) if len(self._seconds) >= PACE_FROM else self._seconds_before
        return Standing(self._read, max(0, self.ranking.open - self._answers), seconds if seconds > 0 else None)

    # What the reader says

    def answer(self, case_id: str, action: Action, label: str | None = None, comment: str = "") -> bool:
        """Take the answer to the case in hand; False, and nothing happens, where that is another case or hardly shown."""
        shown = self._current
        if shown is None or shown.case.id != case_id or self._elapsed(shown) < TOO_QUICK_S:
            return False
        self._take([shown], [self._event(shown, action, label, comment, self._elapsed(shown))])
        self._current = None
        return True

    def answer_page(self, answers: Mapping[str, tuple[Action, str | None]]) -> None:
        """Take the answers to cases of the page, by case id. The rest stays; the time is shared among the answered."""
        said = [shown for shown in self._page if shown.case.id in answers]
        if not said:
            return
        seconds = max(self._elapsed(shown) for shown in said) / len(said)
        self._take(said, [self._event(shown, *answers[shown.case.id], "", seconds) for shown in said])
        self._page = [shown for shown in self._page if shown.case.id not in answers]
        for shown in self._page:
            shown.since = None

    def undo(self) -> None:
        """Take back the last answer, and have its cases in hand again. ``note`` says what was not as expected."""
        if not self._answered:
            return
        last = self._answered.pop()
        self.note = ""
        if not last.parcel.error:
            parcel = self._outbox.send(Parcel(self.wish.reader, undo_keys=last.undo_keys))
            parcel.settled.wait(UNDONE_WITHIN_S)
            if parcel.kept and {one.case_id for one in parcel.undone} != {shown.case.id for shown in last.shown}:
                self.note = ELSEWHERE
                return
        self._answers -= len(last.shown)
        self._read -= sum(event.action != "skip" for event in last.events)
        back = [self._shown(shown.case, shown.view) for shown in last.shown]
        if len(back) > 1 or self._page:
            self._page = back + self._page
        else:
            self._finish_fetching()
            if self._current is not None:
                self._ready.appendleft(self._current)
            self._current = back[0]
        self._hold(back)

    def waiting(self) -> list[Parcel]:
        """Their answers that are not saved yet."""
        return self._outbox.waiting(self.wish.reader)

    @property
    def trouble(self) -> str:
        """What holds them up."""
        return self._outbox.trouble

    def close(self) -> None:
        """Wait for what is being loaded: a desk with another wish must not lease beside it."""
        with suppress(CervixError):
            self._finish_fetching()
        if self._ranking_ahead is not None:
            self._ranking_ahead.result()

    # How

    def _take(self, shown: list[Shown], events: list[LabelEvent]) -> None:
        parcel = self._outbox.send(Parcel(self.wish.reader, events))
        self._answered.append(Answered(shown, events, parcel, [new_key() for _ in events]))
        self._answers += len(events)
        self._read += sum(event.action != "skip" for event in events)
        for event in events:
            if event.action != "skip":  # then they are shown what the model says
                self._seen.add(event.case_id)
                if event.seconds_taken is not None:
                    self._seconds.append(event.seconds_taken)
        self.note = ""
        parcel.settled.wait(CONFIRMED_WITHIN_S)

    def _event(self, shown: Shown, action: Action, label: str | None, comment: str, seconds: float) -> LabelEvent:
        return LabelEvent(
            shown.case.id,
            self.wish.reader,
            action,
            label,
            shown.key,
            shown.blinded,
            seconds,
            comment,
            self._scorer.bundle_sha256,
            self._scorer.bundle_version,
            shown.opinion.probabilities if shown.opinion else None,
        )

    def _elapsed(self, shown: Shown) -> float:
        return 0.0 if shown.since is None else self._clock() - shown.since

    def _shown(self, case: Case, view: Any = None, *, prepared: bool = True) -> Shown:
        view = self._prepare(case) if view is None and prepared else view
        return Shown(case, view, self._opinions.get(case.id), self.wish.blinded and case.id not in self._seen)

    def _in_hand(self) -> list[str]:
        """What they hold by right, the answers on their way included: a lease ends with the answer and not before."""
        # What is answered in between is sent first and put away then: looked up in this order, it cannot be missed.
        held = [*([self._current] if self._current else []), *self._ready, *self._page]
        sent = [event.case_id for parcel in self.waiting() for event in parcel.events]
        return list(dict.fromkeys([*sent, *(shown.case.id for shown in held)]))

    def _fetched(self) -> Shown | None:
        """What is being loaded, or else is loaded now."""
        future = self._fetching or _workers.submit(self._fetch, self._in_hand())
        self._fetching = None
        return future.result()

    def _finish_fetching(self) -> None:
        if self._fetching is not None and (shown := self._fetched()) is not None:
            self._ready.append(shown)

    def _fetch_ahead(self) -> Shown | None:
        time.sleep(self._ahead_after_s)
        return self._fetch(self._in_hand())

    def _fetch(self, in_hand: list[str]) -> Shown | None:
        given = self._lease(in_hand, 1)
        return self._shown(self._store.case(given[0])) if given else None

    def _lease(self, in_hand: list[str], count: int) -> list[str]:
        """Lease so many cases more than they have in hand; rank again where the ranking is used up."""
        given, length = self._more(in_hand, count), RANKED_AT_ONCE
        while not given:
            self._rank(length)
            given = self._more(in_hand, count)
            if len(self.ranking.case_ids) < length:
                break
            length *= 4
        self._handed_out += len(given)
        ranking_ahead = self._ranking_ahead is not None and not self._ranking_ahead.done()
        if self._handed_out >= RANKED_AT_ONCE // 2 and not ranking_ahead:
            self._ranking_ahead = _workers.submit(self._rank_ahead)
        return given

    def _more(self, in_hand: list[str], count: int) -> list[str]:
        leases = self._store.lease_some(
            self.ranking.case_ids, self.wish.reader, count, keep=in_hand, wanted_reads=self.wish.wanted_reads
        )
        return [lease.case_id for lease in leases if lease.case_id not in in_hand]

    def _hold(self, back: list[Shown]) -> None:
        """Lease cases again that came back."""
        wanted = self._in_hand()
        try:
            leases = self._store.lease_some([], self.wish.reader, 0, keep=wanted, wanted_reads=self.wish.wanted_reads)
        except LabelStoreUnavailable:
            return  # the page says so, and the answer waits in the outbox
        if not {shown.case.id for shown in back} <= {lease.case_id for lease in leases} and not self.waiting():
            self.note = TAKEN

    def _rank_ahead(self) -> None:
        """Rank again while they read the rest of the old ranking: others read too, and labels change what a strategy wants."""
        with suppress(LabelStoreUnavailable):  # the old one does until it is used up
            self._rank(RANKED_AT_ONCE)

    def _rank(self, length: int) -> None:
        kept = self._answers - sum(len(parcel.events) for parcel in self.waiting())
        ranking = rank(self._store, self._scorer, self.wish, self._default_strategy, length)
        self._opinions.update(ranking.opinions)
        self.ranking, self._answers, self._handed_out = ranking, self._answers - kept, 0
