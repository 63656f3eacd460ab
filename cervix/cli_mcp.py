"""``python -m cervix mcp``: a server that reads, for language-model clients that speak the Model Context Protocol."""

import argparse
import logging
import sys
from importlib.util import find_spec

from cervix import RESEARCH_NOTICE
from cervix.errors import CallRefused, CervixError


def main(arguments: list[str] | None = None) -> int:
    """This command alone, without what the others import; returns as ``cervix.cli.main``."""
    parser = argparse.ArgumentParser(prog="python -m cervix")
    add_mcp_command(parser.add_subparsers(required=True, metavar="COMMAND"))
    options = parser.parse_args(arguments)
    try:
        return int(options.run(options))
    except CervixError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1


def add_mcp_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``mcp`` to the commands."""
    mcp = commands.add_parser(
        "mcp",
        help="answer a language-model client on this computer: a server that reads (Model Context Protocol)",
        description="Speaks the protocol on standard input and output until input ends; a client starts it. What it reads may "
        f"reach a model somewhere else: docs/mcp.md. {RESEARCH_NOTICE}",
    )
    mcp.set_defaults(run=_serve)


def _serve(options: argparse.Namespace) -> int:
    """Serve until the client closes standard input. Raises ``CallRefused`` where the extra is not installed."""
    del options
    if find_spec("mcp") is None:
        raise CallRefused(
            "The MCP server is not installed", expected="the package mcp", action="Run: pip install -r requirements-mcp.txt"
        )
    from cervix.mcp_server.stdio import serve

    # Standard output belongs to the protocol.
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    serve()
    return 0
