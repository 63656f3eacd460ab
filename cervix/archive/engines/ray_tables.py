"""Buckets of a large table on a Ray cluster: one task for each, which Ray places, and runs again where it was lost."""

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from cervix.archive.engines.ray_joining import join
from cervix.errors import LostApart
from cervix.files import make_private_files

RUNS_AGAIN: Final = 3
"""Times that Ray runs a bucket again whose worker or node died."""


def map_buckets(
    paths: Sequence[Path], function: str, address: str, *, arguments: Mapping[str, object] | None = None
) -> Iterator[tuple[Path, Any]]:
    """Call a function for each bucket on some core of the cluster, and have what it returns as soon as it does.

    Only paths and what is returned cross between machines: the rows lie in files that every node sees.

    Parameters
    ----------
    paths : sequence of Path
    function : str
        ``package.module:name`` of ``function(path, **arguments)``. It writes its results as files that are whole or not there,
        since a bucket may be run twice.
    address : str
        ``host:port`` of the head node, or ``auto``.
    arguments : mapping, optional
        The same for every bucket.

    Raises
    ------
    ArchiveRunRefused
        Where the cluster cannot be joined.
    CervixError
        What the function raised. What was had before stays.
    LostApart
        Where a bucket ended its process, or its node, each time.
    """
    ray, leave = join(address)
    buckets: dict[Any, Path] = {}
    try:
        task = ray.remote(_called).options(num_cpus=1, max_retries=RUNS_AGAIN)
        buckets = {task.remote(function, path.absolute(), dict(arguments or {})): path for path in paths}
        while buckets:
            (call, *_), _ = ray.wait(list(buckets), num_returns=1)
            path = buckets.pop(call)
            try:
                value = ray.get(call)
            except ray.exceptions.RayTaskError as error:
                raise error.cause from error
            except ray.exceptions.RayError as error:
                raise LostApart(
                    "A part of the table ended each process that read it",
                    found=f"{type(error).__name__} after {RUNS_AGAIN + 1} tries",
                    action="Give the nodes more memory, or divide the table into more parts.",
                ) from error
            yield path, value
    finally:
        for call in buckets:
            ray.cancel(call)
        leave()


def _called(function: str, path: Path, arguments: dict[str, Any]) -> Any:
    make_private_files()
    module, _, name = function.partition(":")
    return getattr(import_module(module), name)(path, **arguments)
