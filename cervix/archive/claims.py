"""Which place of a run scores a slide that lies in several: the first one to say so.

A claim is a link without a target beside the slide's results, named for the run, that holds the number of the place: made in
one step on every file system, so that two workers on two machines cannot both have it. It belongs to the place and not to a
process: a worker that is killed leaves it, and the place's next attempt has it at once.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from cervix.archive.work import Work


@contextmanager
def claimed(folder: Path, run: str, work: Work) -> Iterator[int | None]:
    """Claim a slide for the place of a piece of work for as long as the block runs.

    Parameters
    ----------
    folder : Path
        Of the slide's results.
    run : str
        Id of the run.

    Yields
    ------
    int or None
        The place that has the claim, where it is another; None where this one has it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    claim = folder / f".claim-{run}"
    owner = _owner(claim, work)
    try:
        yield owner
    finally:
        if owner is None and _read(claim) == work.place:
            claim.unlink(missing_ok=True)


def _owner(claim: Path, work: Work) -> int | None:
    while True:
        try:
            claim.symlink_to(str(work.place))
        except FileExistsError:
            owner = _read(claim)
            if owner is None:
                continue  # let go in between
            if owner == work.place:
                return None
            if owner != work.instead_of:
                return owner
            ours = claim.with_name(f"{claim.name}-{uuid4().hex}")
            ours.symlink_to(str(work.place))
            ours.replace(claim)
        return None


def _read(claim: Path) -> int | None:
    try:
        return int(str(claim.readlink()))
    except FileNotFoundError:
        return None
