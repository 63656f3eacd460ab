"""How many workers a Ray cluster has room for, and what each of them asks of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from cervix.errors import ArchiveRunRefused

CORES_AT_MOST: Final = 4
"""Of one worker. Each holds a session of its own (0.4 GB with the shipped bundle), so cores share one; but the threads of a
session wait for each other at every layer. Not measured beyond two cores."""


@dataclass(frozen=True)
class Share:
    """What one worker asks of the cluster.

    Attributes
    ----------
    cores : int
        Also the threads of its session on a CPU.
    gpus : int
        0 or 1.
    """

    cores: int
    gpus: int

    @classmethod
    def of(cls, nodes: Sequence[dict[str, Any]], device: str) -> Self:
        """The share for a run: a whole GPU each where there are any and ``device`` lets it use them, else some cores.

        Of cores the largest number, up to ``CORES_AT_MOST``, that leaves the fewest idle over all nodes.

        Raises
        ------
        ArchiveRunRefused
            Where no node offers the device that was asked for.
        """
        if device != "cpu" and any(_has(node, "GPU") for node in nodes):
            return cls(1, 1)
        cores = [_has(node, "CPU") for node in nodes]
        if device == "cuda" or not any(cores):
            raise ArchiveRunRefused(
                "The Ray cluster has no device for this run",
                expected="nodes with a GPU" if device == "cuda" else "nodes with cores to spare",
                found=f"{len(nodes)} nodes without",
                action="Start its nodes with --num-gpus or --num-cpus, or ask for another device.",
            )
        most = min(CORES_AT_MOST, max(cores))
        return cls(max(range(1, most + 1), key=lambda share: (sum(count // share * share for count in cores), share)), 0)

    @property
    def threads(self) -> int | None:
        """For the session: without a cap two workers on two cores are no faster than one."""
        return None if self.gpus else self.cores

    def room(self, nodes: Sequence[dict[str, Any]]) -> int:
        """How many workers of this share fit on the nodes, were nobody else there."""
        kind, each = ("GPU", 1) if self.gpus else ("CPU", self.cores)
        return sum(_has(node, kind) // each for node in nodes)

    @property
    def asked(self) -> dict[str, int]:
        """As options of an actor."""
        return {"num_cpus": self.cores, "num_gpus": self.gpus}


def _has(node: dict[str, Any], kind: str) -> int:
    return int(node["Resources"].get(kind, 0))
