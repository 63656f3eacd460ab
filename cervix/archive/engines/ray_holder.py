"""What a Ray actor holds: one worker, opened late, so that what keeps it from opening comes back as a value."""

from typing import Any, TypedDict


class Told(TypedDict):
    """What an actor says of itself, in plain values: it may run other code than ours.

    ``error`` and ``code`` are empty where it is ready to score.
    """

    node: str
    """Ray's id of the node."""
    address: str
    python: str
    cervix: str
    """Version; empty where it is not installed there."""
    device: str
    code: str
    error: str


def holder_class() -> type[Any]:
    """The class of the actors.

    A class within a function is sent by value. One of a module would be looked for on the node, and where the node lacks it
    the actor would die without having said which node that was.
    """

    class Holder:
        def __init__(self, station: dict[str, Any], threads: int | None) -> None:
            self._station, self._threads = station, threads
            self._worker: Any = None

        def open(self, marker: str, content: str) -> dict[str, Any]:
            """Say where this is, as ``Told``; write ``marker`` into the folder of results; open the session."""
            import platform
            from pathlib import Path

            import ray

            told = {
                "node": ray.get_runtime_context().get_node_id(), "address": ray.util.get_node_ip_address(),
                "python": platform.python_version(), "cervix": "", "device": "", "code": "", "error": "",
            }  # fmt: skip
            try:
                import cervix
                from cervix.archive.work import Station
                from cervix.archive.worker import Worker
                from cervix.errors import CervixError
                from cervix.files import make_private_files
            except ImportError as error:
                return told | {"error": f"{type(error).__name__}: {error.name}"}
            make_private_files()
            told["cervix"] = cervix.__version__
            try:
                Path(self._station["results_dir"], marker).write_text(content, encoding="ascii")
                self._worker = Worker(Station(**self._station), told["address"], threads=self._threads)
            except CervixError as error:
                return told | {"code": error.code, "error": str(error)}
            except OSError as error:
                return told | {"error": f"{type(error).__name__} {error.errno}"}
            return told | {"device": self._worker.device}

        def score(self, work: Any, then: Any) -> Any:
            return self._worker.score(work, then=then)

        def stop(self) -> None:
            self._worker.stop()

    return Holder
