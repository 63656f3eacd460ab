"""Libraries that report home are told not to, before any of them is imported."""

import os
from typing import Final

REPORTING_OFF: Final = {
    # ONNX Runtime's wheels carry Microsoft's telemetry, switched on: a device id and a database in the user's home, and
    # events to a collector. It reads this once, when its library is loaded; its disable_telemetry_events() comes too
    # late for both (Privacy.md in the wheel).
    "ORT_DISABLE_TELEMETRY": "1",
    # https://donottrack.sh; huggingface_hub obeys it.
    "DO_NOT_TRACK": "1",
}


def report_nothing() -> None:
    """Switch reporting off for this process and all that it starts, whatever the environment said.

    ``cervix``, ``training`` and ``benchmarks`` call it before they import anything else. A program that imports ONNX
    Runtime before them has to set ``ORT_DISABLE_TELEMETRY`` itself.
    """
    os.environ.update(REPORTING_OFF)
