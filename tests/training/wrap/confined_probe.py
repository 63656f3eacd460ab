"""What a confined process can do, tried in one: imports as little as it can, as it is started for that alone."""

import socket
import subprocess
from pathlib import Path

from training.wrap.confined import confine


def tried(folder: str, outside: str) -> dict[str, str]:
    """What a confined process can do, tried."""
    told = {"missing": " ".join(confine(Path(folder), 5))}
    tries = {
        "write inside": lambda: Path(folder, "inside").write_text("x"),
        "write outside": lambda: Path(outside).write_text("x"),
        "network": lambda: socket.create_connection(("127.0.0.1", 9), timeout=2),
        "program": lambda: subprocess.run(["/bin/true"], check=True),
    }
    for name, act in tries.items():
        try:
            act()
            told[name] = "done"
        except OSError as error:
            told[name] = type(error).__name__
    return told
