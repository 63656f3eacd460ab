"""The labelled cases of a store beside their vectors, held in memory and brought up to date when the store has changed."""

import math
import time
from collections.abc import Iterator
from threading import RLock

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cervix.labels.similar.found import Asked, Neighbour, Similar
from cervix.labels.similar.vectors import VectorBlocks, comparable
from cervix.labels.store.cases import Kind, Scorer
from cervix.labels.store.label_store import LabelStore
from cervix.labels.store.truth import POSITIONS, READ

NEAREST = 12
TOLD = ("case_id", "group_id", "label", "status", "said", "reads")
SIMILAR_AT_MOST = 1.0
"""Distance at right angles: a case from there on has no direction in common with what is asked about."""
SPREAD_SHARE, SPREAD_FROM, SPREAD_OF = 0.95, 20, 400
"""From so many labelled cases on, what lies farther off than this share of their pairs lie apart is not similar either: nothing
like it was labelled. The pairs are those of so many of them, drawn with a fixed seed."""
READS_WANTED = 2
"""From so many reads on a case comes to nobody at the label desk, second reads included (``Wish.wanted_reads``)."""


class LabelledCases:
    """Cases of one kind as one model of one bundle sees them. Safe to share between threads; one for all sessions.

    Vectors of other bundles are in another space and are never compared. A vector is read from the store once; what counts
    is read again when an event was added.

    Parameters
    ----------
    held_for_s : float
        For so long labels are not read again: at 20,000 that takes seconds, and readers answer every few.
    """

    def __init__(self, store: LabelStore, scorer: Scorer, kind: Kind, *, held_for_s: float = 0.0) -> None:
        self.store, self.scorer, self.kind, self.held_for_s = store, scorer, kind, held_for_s
        self._lock = RLock()
        self._vectors: VectorBlocks | None = None
        self._row_of: dict[str, int] = {}
        self._read_to, self._mark, self._read_at = 0, (-1, -1), -math.inf
        self._labels = pd.DataFrame()
        self._labelled: NDArray[np.int64] = np.empty(0, np.int64)
        self._limit = SIMILAR_AT_MOST
        self._own: dict[str, NDArray[np.bool_]] = {}

    @property
    def bytes_held(self) -> int:
        """Of vectors alone."""
        return self._vectors.bytes_held if self._vectors is not None else 0

    def nearest(self, asked: Asked, reader: str, count: int = NEAREST) -> Similar:
        """The labelled cases nearest to a tile or a woman, of those whose label this reader may be told.

        Left out are the case itself, tiles that overlap the one asked about, and the woman's own cases; and whatever may still
        come to the reader at the label desk, because readers answer without knowing what others said (docs/adr/0043).

        Parameters
        ----------
        reader : str
            As the label store knows them.

        Raises
        ------
        LabelStoreUnavailable
            If the store does not answer.
        """
        with self._lock:
            self._refresh()
            labels, vectors = self._labels, self._vectors
            open_to_them = labels["closed"].to_numpy(bool) | self._own.get(reader, np.zeros(len(labels), bool))
            has_vector = self._labelled >= 0
            kept_back, unscored = int((~open_to_them).sum()), int((~has_vector & open_to_them).sum())
            free = open_to_them & has_vector & ~self._of_itself(asked)
            usable = comparable(asked.vector[None])[0]
            if vectors is None or vectors.dimensions != len(asked.vector) or not usable or not free.any():
                return Similar([], 0, unscored, kept_back)
            among = np.zeros(vectors.rows, bool)
            among[self._labelled[free]] = True
            rows, distances = vectors.nearest(asked.vector, count, among)
            nearest, within = float(distances[0]), distances <= self._limit
            beyond, rows, distances = int((~within).sum()), rows[within], distances[within]
            place_of = dict(zip(self._labelled[free].tolist(), np.flatnonzero(free).tolist(), strict=True))
            found = labels.iloc[[place_of[row] for row in rows.tolist()]]
            neighbours = [
                Neighbour(
                    str(case_id), str(group_id), float(distance), str(label), status == "adjudicated", int(said), int(reads),
                    bool(asked.group_id) and group_id == asked.group_id,
                )
                for distance, (case_id, group_id, label, status, said, reads) in zip(
                    distances, found[list(TOLD)].to_numpy(object).tolist(), strict=True
                )
            ]  # fmt: skip
            return Similar(neighbours, int(free.sum()), unscored, kept_back, beyond, self._limit, nearest)

    def asked_case(self, case_id: str) -> Asked | None:
        """A case of the store as what is asked about, labelled or not; None where this bundle has not scored it."""
        with self._lock:
            self._refresh()
            row = self._row_of.get(case_id)
            if row is None or self._vectors is None:
                return None
            case = self.store.case(case_id)
            place = (case.x_l0_px, case.y_l0_px, case.size_l0_px)
            whole = None if None in place else tuple(int(number or 0) for number in place)
            return Asked(self._vectors.rows_at([row])[0], case.group_id, whole)  # type: ignore[arg-type]

    def unscored(self) -> list[str]:
        """Ids of labelled cases without a vector by this bundle: ``rescore`` makes them from what the store holds."""
        with self._lock:
            self._refresh()
            return [str(case) for case in self._labels["case_id"][self._labelled < 0]]

    def read_again(self) -> None:
        """Have the store asked at the next question, however lately it was."""
        with self._lock:
            self._read_at = -math.inf

    def _of_itself(self, asked: Asked) -> NDArray[np.bool_]:
        """Which labelled cases are what is asked about, or share pixels or the woman with it."""
        same = (self._labels["group_id"] == asked.group_id).to_numpy() & bool(asked.group_id)
        if asked.place is None:
            return same
        x, y, size = asked.place
        at_x, at_y, its_size = (self._labels[name].to_numpy(np.int64) for name in POSITIONS)
        apart = (at_x >= x + size) | (at_x + its_size <= x) | (at_y >= y + size) | (at_y + its_size <= y)
        return np.asarray(same & ~apart, bool)

    def _refresh(self) -> None:
        # Before what it stands for is read: what comes meanwhile is then read again, not missed.
        if time.monotonic() - self._read_at < self.held_for_s:
            return
        mark = (self.store.last_event_id(), self.store.last_score_id())
        if mark == self._mark:
            return
        if mark[1] != self._mark[1]:
            self._read_vectors()
        if mark[0] != self._mark[0]:
            self._read_labels()
        row_of = self._row_of
        self._labelled = np.array([row_of.get(case, -1) for case in self._labels["case_id"]], np.int64)
        self._limit = self._spread()
        self._mark, self._read_at = mark, time.monotonic()

    def _spread(self) -> float:
        """The distance beyond which a case is not similar."""
        rows = self._labelled[self._labelled >= 0]
        if self._vectors is None or len(rows) < SPREAD_FROM:
            return SIMILAR_AT_MOST
        drawn = np.random.default_rng(0).permutation(rows)[:SPREAD_OF]
        some = self._vectors.rows_at(drawn).astype(np.float64)
        some /= np.linalg.norm(some, axis=1, keepdims=True)
        apart = (1 - some @ some.T)[np.triu_indices(len(some), 1)]
        return min(SIMILAR_AT_MOST, float(np.quantile(apart, SPREAD_SHARE)))

    def _read_vectors(self) -> None:
        for scores, case_ids, held in self.store.vectors(self.scorer, self.kind, self._read_to):
            for at, vectors in _of_one_length(held):
                if self._vectors is None:
                    self._vectors = VectorBlocks(vectors.shape[1])
                if vectors.shape[1] == self._vectors.dimensions:
                    self._take([case_ids[place] for place in at], vectors)
            self._read_to = scores[-1]

    def _take(self, case_ids: list[str], vectors: NDArray[np.float32]) -> None:
        """The newest score of a case counts: an older one's vector is replaced, or left out where the newest has none."""
        assert self._vectors is not None, "made by whoever calls"
        usable = comparable(vectors)
        new: dict[str, int] = {}
        for place, (case_id, has_direction) in enumerate(zip(case_ids, usable.tolist(), strict=True)):
            if not has_direction:
                self._row_of.pop(case_id, None)
                new.pop(case_id, None)
            elif (row := self._row_of.get(case_id)) is None:
                new[case_id] = place
            else:
                self._vectors.replace(row, vectors[place])
        first = self._vectors.rows
        self._vectors.append(vectors[list(new.values())])
        self._row_of.update(zip(new, range(first, self._vectors.rows), strict=True))

    def _read_labels(self) -> None:
        truths, reads = self.store.truths(self.kind), self.store.reads(self.kind)
        answered = reads[reads["action"].isin(READ)]
        labels = truths[truths["label"].notna()].reset_index(drop=True)
        pairs = answered.merge(labels[["case_id", "label"]], on="case_id", suffixes=("_said", ""))
        said = pairs[pairs["label_said"] == pairs["label"]].groupby("case_id").size()
        self._labels = labels.assign(
            said=labels["case_id"].map(said).fillna(0).astype(int),
            closed=(labels["status"] == "adjudicated") | (labels["reads"] >= READS_WANTED),
        )
        place_of = {case: at for at, case in enumerate(labels["case_id"])}
        self._own = {}
        for reader, case_id in zip(pairs["reader"], pairs["case_id"], strict=True):
            self._own.setdefault(reader, np.zeros(len(labels), bool))[place_of[case_id]] = True


def _of_one_length(held: list[bytes]) -> Iterator[tuple[list[int], NDArray[np.float32]]]:
    """Places and vectors ``(n, dimensions)`` of those that have as many numbers, which is all of them but for odd backups."""
    lengths = np.array([len(content) for content in held])
    for length in dict.fromkeys(lengths.tolist()):
        at = np.flatnonzero(lengths == length).tolist()
        yield at, np.frombuffer(b"".join(held[place] for place in at), "<f4").reshape(len(at), -1)
