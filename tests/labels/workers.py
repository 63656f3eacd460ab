"""What other processes do to a store in the tests."""

from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier

from cervix.labels import LabelEvent, open_store
from cervix.labels.store.events import new_key
from tests.labels.making import TILES


def open_and_count(url: str, start: Barrier, answer: Connection) -> None:
    """Open a store at the same moment as others and say how many classes it has."""
    start.wait()
    with open_store(url) as store:
        store.declare_classes("tile", ["benign", "scc", "ac"])
        answer.send(len(store.classes("tile")))


def label_all(url: str, reader: str, start: Barrier, answer: Connection) -> None:
    """Take and label cases until there is none, and say which they were."""
    with open_store(url) as store:
        start.wait()
        done = []
        while lease := store.lease_next(TILES, reader):
            store.record(LabelEvent(lease.case_id, reader, "label", "benign"))
            done.append(lease.case_id)
        answer.send(done)


def click_until_killed(url: str, reader: str, unanswered: list[str], answer: Connection) -> None:
    """Record labels without end: say each key before the click and again when the store has confirmed it.

    First come the clicks of the killed process before that nobody confirmed, as a page would send them again.
    """
    with open_store(url) as store:
        while True:
            key = unanswered.pop() if unanswered else new_key()
            answer.send(("clicked", key))
            store.record(LabelEvent(TILES[int(key[0], 16) % len(TILES)], reader, "label", "scc", key=key))
            answer.send(("confirmed", key))
