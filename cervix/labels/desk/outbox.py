"""Answers on their way into the store: sent in order and again until confirmed, so that none is lost or kept twice."""

import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Condition, Event, Thread

from cervix.errors import CervixError, LabelStoreUnavailable
from cervix.labels.store.events import LabelEvent
from cervix.labels.store.label_store import LabelStore
from cervix.labels.store.recording import Undone

logger = logging.getLogger(__name__)

AGAIN_AFTER_S = 1.0
UNFORESEEN = "The answer could not be saved because of an unexpected error; the server's log has the details."


@dataclass
class Parcel:
    """One click of one reader: events to keep together, or, with none, an undo under each of ``undo_keys``.

    Every event and undo has its key before it is sent, so sending it again changes nothing.

    Attributes
    ----------
    undone : what the undos took back, once settled
    error : why the store refused it; empty while it is on its way, and when it is kept
    """

    reader: str
    events: Sequence[LabelEvent] = ()
    undo_keys: Sequence[str] = ()
    undone: list[Undone] = field(default_factory=list)
    error: str = ""
    settled: Event = field(default_factory=Event)

    @property
    def kept(self) -> bool:
        return self.settled.is_set() and not self.error


class Outbox:
    """Sends parcels one after the other, in the order they came, from one thread of this process.

    A store that is locked or away holds them up; they are sent again until it answers. What it refuses is given up, with the
    reason. Only the end of the process can lose a parcel, and until it is settled nobody was told that it is kept.
    """

    def __init__(self, store: LabelStore, *, again_after_s: float = AGAIN_AFTER_S) -> None:
        self._store = store
        self._again_after_s = again_after_s
        self._waiting: deque[Parcel] = deque()
        self._changed = Condition()
        self._trouble = ""
        self._closed = False
        self._worker: Thread | None = None

    def send(self, parcel: Parcel) -> Parcel:
        """Take a parcel; it is on its way at once."""
        with self._changed:
            self._waiting.append(parcel)
            if self._worker is None:
                self._worker = Thread(target=self._work, name="label-outbox", daemon=True)
                self._worker.start()
            self._changed.notify_all()
        return parcel

    def waiting(self, reader: str) -> list[Parcel]:
        """The parcels of a reader that are not settled, in order."""
        with self._changed:
            return [parcel for parcel in self._waiting if parcel.reader == reader]

    @property
    def trouble(self) -> str:
        """What holds the parcels up, as a sentence; empty where nothing does."""
        return self._trouble

    def close(self) -> None:
        """Stop sending, after the parcel in hand."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._worker is not None:
            self._worker.join()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if self._closed:
                    return
                parcel = self._waiting[0]
            if not self._sent(parcel):
                with self._changed:
                    self._changed.wait_for(lambda: self._closed, self._again_after_s)
                continue
            with self._changed:
                self._waiting.popleft()
            parcel.settled.set()

    def _sent(self, parcel: Parcel) -> bool:
        """Whether the store has kept or refused it."""
        try:
            if parcel.events:
                self._store.record_all(parcel.events)
            done = [self._store.undo(parcel.reader, key=key) for key in parcel.undo_keys]
            parcel.undone = [undone for undone in done if undone is not None]
        except LabelStoreUnavailable as error:
            self._trouble = str(error)
            return False
        except CervixError as error:
            parcel.error = str(error)
        except Exception:
            logger.exception("a label could not be kept")
            parcel.error = UNFORESEEN
        self._trouble = ""
        return True
