"""How a headless Chromium is found and started."""

import os
import shutil

import pytest
from playwright.sync_api import Page

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
VIOLATION = "violation of the policy: "
TELL_VIOLATIONS = (
    "document.addEventListener('securitypolicyviolation', found => "
    f"console.error('{VIOLATION}' + found.violatedDirective + ' ' + found.blockedURI + ' ' + found.sourceFile))"
)


def watch(page: Page) -> list[str]:
    """What a page will have done that its Content-Security-Policy forbids, those included that its scripts catch."""
    found: list[str] = []
    page.add_init_script(TELL_VIOLATIONS)
    page.on("console", lambda told: found.append(told.text) if told.text.startswith(VIOLATION) else None)
    return found


needs_browser = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None and not os.environ.get("CERVIX_REQUIRE_BROWSER"), reason="no Chromium is installed"),
]
