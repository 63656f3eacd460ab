"""A client of the protocol in this process, and an inbox folder with some slides and a table."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import anyio
import pytest
from mcp import Client
from mcp_types import CallToolResult

from cervix.mcp_server import slides
from cervix.mcp_server.server import tool_server
from cervix.settings import PROJECT_ROOT, get_settings

Ask = Callable[..., CallToolResult]


@pytest.fixture(scope="session")
def inbox(phantom_slide: Path, unscaled_slide: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Slides, probed once for all tests, and what must not be had: links, hidden files, names of no plain kind."""
    folder = tmp_path_factory.mktemp("mcp-inbox")
    (folder / "ward").mkdir()
    for slide in (phantom_slide, unscaled_slide):
        os.link(slide, folder / "ward" / slide.name)
    os.link(phantom_slide, folder / "ward" / "turned \u202eround.tiff")
    os.link(phantom_slide, folder / "ward" / "words\U000e0073\U000e0061\U000e0079 hidden.tiff")
    os.link(phantom_slide, folder / ".hidden.tiff")
    (folder / "link.tiff").symlink_to(phantom_slide)
    (folder / "rising.csv").write_bytes((PROJECT_ROOT / "cervix/samples/tables/rising.csv").read_bytes())
    return folder


@pytest.fixture
def installed(home: Path, inbox: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation with that inbox that has scored nothing yet."""
    monkeypatch.setenv("CERVIX_INBOX", str(inbox))
    get_settings.cache_clear()
    slides._scores.clear()
    return home


@pytest.fixture
def ask(installed: Path) -> Ask:
    """Call a tool by the protocol, as a client does that has just started the server."""
    del installed

    def called(name: str, **arguments: Any) -> CallToolResult:
        async def once() -> CallToolResult:
            async with Client(tool_server(), mode="legacy") as client:
                return cast(CallToolResult, await client.call_tool(name, arguments))

        return anyio.run(once)

    return called


def told(result: CallToolResult) -> dict[str, Any]:
    """What a tool told; a refusal is a fault of the test."""
    assert not result.is_error, result.content
    return cast(dict[str, Any], result.structured_content)


def refused(result: CallToolResult, error: type[Exception]) -> dict[str, Any]:
    """What a tool said where it refused, with this error."""
    assert result.is_error
    content = cast(dict[str, Any], result.structured_content)
    assert content["code"] == getattr(error, "code", ""), content
    return content
