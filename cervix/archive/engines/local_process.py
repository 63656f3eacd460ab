"""What runs in the process of one device of this machine."""

import os
import signal
from multiprocessing.connection import Connection
from threading import Event, Thread

from cervix.archive.work import Outcome, Station, Work
from cervix.archive.worker import Worker
from cervix.files import make_private_files

_stopping = Event()
_worker: Worker | None = None


def begin(way: Connection) -> None:
    """First of all in the process: it ends with the one that started it, and leaves signals of a terminal to that."""
    make_private_files()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Thread(target=_listen, args=(way,), name="stop-listener", daemon=True).start()


def tell_to_stop(way: Connection) -> None:
    """Have the process at the other end stop after its batch; nothing where it is gone."""
    try:
        way.send_bytes(b"stop")
    except BrokenPipeError:
        return


def _listen(way: Connection) -> None:
    try:
        way.recv_bytes()
        _stopping.set()
        if _worker is not None:
            _worker.stop()
        way.recv_bytes()
    except (EOFError, OSError):
        # Nobody would take its outcome, and another run may begin with the same slide.
        os._exit(1)


def open_worker(station: Station, name: str, threads: int | None, cuda: str | None) -> str:
    """Open the session of this process; returns its device in words.

    Raises ``BundleError`` as ``Worker`` does.
    """
    global _worker
    if cuda is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = cuda
    _worker = Worker(station, name, threads=threads)
    if _stopping.is_set():
        _worker.stop()
    return _worker.device


def score(work: Work, then: Work | None) -> Outcome:
    """Score a slide, and make the next one ready beside it."""
    if _worker is None:
        raise RuntimeError("the session of this process is not open")
    return _worker.score(work, then=then)
