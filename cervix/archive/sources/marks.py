"""What changes when a slide does, as far as one can see without opening it."""

import hashlib
import os
from collections.abc import Iterable, Sequence


def mark_of_stats(stats: Sequence[os.stat_result]) -> str:
    """Of files on a disk: size and time of one; number, bytes, and a digest of sizes and times of several."""
    if len(stats) == 1:
        return f"{stats[0].st_size} {stats[0].st_mtime_ns}"
    digest = digest_of_parts(f"{stat.st_size} {stat.st_mtime_ns}" for stat in stats)
    return f"{len(stats)} files {sum(stat.st_size for stat in stats)} {digest[:16]}"


def digest_of_parts(parts: Iterable[str]) -> str:
    """SHA-256 of texts in any order, as 64 hex digits."""
    return hashlib.sha256("\n".join(sorted(parts)).encode()).hexdigest()
