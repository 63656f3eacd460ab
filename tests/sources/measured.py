"""What examining costs, told by the process that did it."""

from pathlib import Path

from cervix.errors import CervixError
from cervix.sources.examining import examine_slide


def cost_of_examining(path: str) -> tuple[str, int]:
    """What is said of a slide, and the most memory (bytes) that this process ever held."""
    try:
        said = str(examine_slide(path))
    except CervixError as error:
        said = str(error)
    # Not the peak of getrusage: that is the parent's where this process is the smaller one.
    status = Path("/proc/self/status").read_text().split("VmHWM:")[1]
    return said, int(status.split()[0]) << 10
