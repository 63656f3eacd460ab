"""The command itself: a real client over a process's standard streams, which carry the protocol and nothing else."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from cervix import RESEARCH_NOTICE
from cervix.errors import CallRefused, NameRefused
from cervix.settings import PROJECT_ROOT
from tests.mcp_server.conftest import refused, told

pytestmark = pytest.mark.slow

COMMAND = [sys.executable, "-m", "cervix", "mcp"]
PATIENCE_S = 120.0
HELLO = {
    "jsonrpc": "2.0", "id": 1, "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}},
}  # fmt: skip


def environment(installed: Path, inbox: Path, bundle_root: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"], "PYTHONPATH": str(PROJECT_ROOT), "CERVIX_HOME": str(installed), "CERVIX_INBOX": str(inbox),
        "CERVIX_BUNDLE_DIR": str(bundle_root), "CERVIX_DEVICE": "cpu", "CERVIX_OFFLINE": "1",
    }  # fmt: skip


def test_a_client_starts_it_asks_and_goes(installed: Path, inbox: Path, bundle_root: Path, tmp_path: Path) -> None:
    """The score is told step by step, a refusal in its parts; nothing is written but what the client sees."""
    server = StdioServerParameters(
        command=COMMAND[0], args=COMMAND[1:], env=environment(installed, inbox, bundle_root), cwd=tmp_path
    )
    heard: list[float] = []

    async def hear(done: float, total: float | None, words: str | None) -> None:
        del total, words
        heard.append(done)

    async def asked(errors: Any) -> tuple[Any, ...]:
        async with Client(stdio_client(server, errlog=errors), read_timeout_seconds=PATIENCE_S) as client:
            score = await client.call_tool("score_of_a_slide", {"inbox": "ward/phantom.tiff"}, progress_callback=hear)
            woman = await client.call_tool("explain_woman", {"inbox": "rising.csv", "pseudonym": "RISING"})
            outside = await client.call_tool("score_of_a_slide", {"inbox": "../phantom.tiff"})
            return score, woman, outside, await client.call_tool("bundle_info", {"more": 1})

    with (tmp_path / "errors").open("w+", encoding="utf-8") as errors:
        score, woman, outside, odd = anyio.run(asked, errors)
        errors.seek(0)
        assert "Traceback" not in errors.read()
    assert told(score)["notice"] == told(woman)["notice"] == RESEARCH_NOTICE
    assert heard[-1] == told(score)["tiles"] + told(score)["unread_tiles"]
    assert told(woman)["explained"]["steps"]
    refused(outside, NameRefused)
    refused(odd, CallRefused)
    assert not installed.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["errors"]


def test_a_client_that_goes_away_in_the_middle_is_not_worked_for_any_longer(
    installed: Path, inbox: Path, bundle_root: Path, tmp_path: Path
) -> None:
    call = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "bundle_info", "arguments": {}}}
    for deaf in (False, True):
        with (tmp_path / "errors").open("wb") as errors, subprocess.Popen(
            COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, cwd=PROJECT_ROOT,
            env=environment(installed, inbox, bundle_root),
        ) as server:  # fmt: skip
            assert server.stdin is not None
            assert server.stdout is not None
            server.stdin.write(f"{json.dumps(HELLO)}\n".encode())
            server.stdin.flush()
            server.stdout.readline()
            if deaf:
                server.stdout.close()
            server.stdin.write(f"{json.dumps(call | ({'method': 'tools/list', 'params': {}} if deaf else {}))}\n".encode())
            server.stdin.flush()
            if not deaf:
                server.stdin.close()
            assert server.wait(PATIENCE_S) == 0
        assert "Traceback" not in (tmp_path / "errors").read_text("utf-8")


def test_it_ends_with_its_input_and_prints_the_protocol_alone(installed: Path, inbox: Path, bundle_root: Path) -> None:
    (installed / "results").mkdir(parents=True)
    (installed / "results").chmod(0o755)
    lines = [json.dumps(HELLO), "no JSON at all", json.dumps({"jsonrpc": "2.0", "id": 2, "method": "ping"})]
    ran = subprocess.run(
        COMMAND, input="\n".join([*lines, ""]), capture_output=True, text=True, timeout=PATIENCE_S, check=False,
        env=environment(installed, inbox, bundle_root), cwd=PROJECT_ROOT,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    answers = [json.loads(line) for line in ran.stdout.splitlines()]
    assert answers[0]["result"]["serverInfo"]["name"] == "cervix-workbench"
    assert "Traceback" not in ran.stderr
    assert "no JSON at all" not in ran.stderr
    assert (installed / "results").stat().st_mode & 0o777 == 0o755, "not even rights are changed"


def test_a_client_is_answered_before_what_the_tools_need_is_imported() -> None:
    program = "import sys, cervix.cli_mcp, cervix.mcp_server.stdio; print([name for name in HEAVY if name in sys.modules])"
    heavy = ("numpy", "pandas", "onnxruntime", "cervix.cli", "cervix.bundle", "cervix.mcp_server.tools")
    ran = subprocess.run(
        [sys.executable, "-c", f"HEAVY = {heavy!r}; {program}"], capture_output=True, text=True, check=True, cwd=PROJECT_ROOT
    )
    assert ran.stdout.strip() == "[]"
