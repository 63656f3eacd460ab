"""How a headless Chromium is found and started."""

import os
import shutil

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
LAUNCH_OPTIONS = {
    "executable_path": CHROMIUM,
    "args": [
        "--no-sandbox",
        "--use-gl=angle",
        "--use-angle=swiftshader",
        "--enable-unsafe-swiftshader",
        "--disable-background-networking",
        "--disable-component-update",
        "--no-first-run",
    ],
}
WAIT_MS = 90_000
WIDTHS = {"desktop": 1440, "phone": 390}
needs_browser = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None and not os.environ.get("CERVIX_REQUIRE_BROWSER"), reason="no Chromium is installed"),
]
