"""A process that gives up what it does not need before it opens somebody's file: network, other programs, writing elsewhere.

Linux has what that takes without the rights of root: user and network namespaces (``unshare``) and Landlock (from 5.13). What a
system lacks is told, not passed over: limits of memory and time hold anyway (``cervix.sources.apart``).
"""

import ctypes
import os
import struct
import sys
import tempfile
from pathlib import Path
from typing import Final

CLONE_NEWUSER: Final = 0x10000000
CLONE_NEWNET: Final = 0x40000000
PR_SET_NO_NEW_PRIVS: Final = 38
# The same numbers on every architecture: they are newer than the common table of system calls.
LANDLOCK_CREATE_RULESET, LANDLOCK_ADD_RULE, LANDLOCK_RESTRICT_SELF = 444, 445, 446
RULESET_VERSION: Final = 1
PATH_BENEATH: Final = 1
READ_ONLY: Final = {"READ_FILE": 1 << 2, "READ_DIR": 1 << 3}
ALL_RIGHTS_OF_ABI: Final = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
"""Rights on files that a version of Landlock knows (include/uapi/linux/landlock.h); versions between know those before."""
EXECUTE, WRITE_FILE = 1 << 0, 1 << 1
TCP: Final = 0b11
"""To bind and to connect, from version 4."""
NO_NETWORK = "This system does not let the process be cut off from the network."
NO_WRITE_GUARD = "This system does not keep the process from writing elsewhere or starting programs (no Landlock)."


def confine(folder: Path, cpu_seconds: int) -> list[str]:
    """Confine this process, which has one thread, for good.

    From then on it has no network, starts no program, writes under ``folder`` alone, which is its working directory and place
    of temporary files, and ends after so many seconds of computing.

    Returns
    -------
    Sentences about what this system has no means for; empty on a current Linux.
    """
    os.chdir(folder)
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
    if sys.platform != "linux":
        return [NO_NETWORK, NO_WRITE_GUARD]
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds if hard < 0 else min(cpu_seconds, hard), hard))
    library = ctypes.CDLL(None, use_errno=True)
    missing = [] if _without_network(library) else [NO_NETWORK]
    return missing if _write_below(library, folder) else [*missing, NO_WRITE_GUARD]


def _without_network(library: ctypes.CDLL) -> bool:
    # A user namespace of its own gives the right to a network namespace, in which there is no device.
    return bool(library.unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0 or library.unshare(CLONE_NEWNET) == 0)


def _write_below(library: ctypes.CDLL, folder: Path) -> bool:
    version = library.syscall(LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), RULESET_VERSION)
    if version < 1:
        return False
    rights = ALL_RIGHTS_OF_ABI[max(known for known in ALL_RIGHTS_OF_ABI if known <= version)]
    handled = rights & ~sum(READ_ONLY.values())
    attributes = struct.pack("=QQ", handled, TCP)[: 16 if version >= 4 else 8]
    rules = library.syscall(LANDLOCK_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0)
    if rules < 0:
        return False
    try:
        return bool(
            _allow(library, rules, folder, handled & ~EXECUTE)
            # Libraries open it to throw something away.
            and _allow(library, rules, Path(os.devnull), handled & WRITE_FILE)
            and library.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            and library.syscall(LANDLOCK_RESTRICT_SELF, rules, 0) == 0
        )
    finally:
        os.close(rules)


def _allow(library: ctypes.CDLL, rules: int, path: Path, rights: int) -> bool:
    place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        beneath = struct.pack("=Qi", rights, place)
        return bool(library.syscall(LANDLOCK_ADD_RULE, rules, PATH_BENEATH, beneath, 0) == 0)
    finally:
        os.close(place)
