"""``python -m cervix serve``: the scoring API and CDS Hooks without the app."""

import argparse
import logging

from cervix import RESEARCH_NOTICE
from cervix.errors import CallRefused
from cervix.people import is_loopback
from cervix.settings import get_settings

CALLS_AT_ONCE = 200
LAST_CALLS_S = 10


def add_serve_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``serve`` to the commands."""
    serve = commands.add_parser("serve", help="answer programs: the scoring API and CDS Hooks, without the app")
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this computer alone)")
    serve.add_argument("--port", type=int, default=8600)
    serve.set_defaults(run=_serve)


def _serve(options: argparse.Namespace) -> int:
    """Serve until stopped. Raises ``CallRefused`` where nobody could call it as it is set up."""
    settings = get_settings()
    if not settings.api_tokens and not settings.cds_token.get_secret_value():
        raise CallRefused(
            "Nobody could call this server",
            expected="CERVIX_API_TOKENS, or CERVIX_CDS_TOKEN for CDS Hooks",
            found="neither",
            action="`openssl rand -hex 32` makes a token.",
        )
    here = options.host == "localhost" or is_loopback(options.host)
    if not here and not (settings.api_open or settings.cds_open):
        raise CallRefused(
            "Other computers could reach this server, and it would answer none of them",
            expected="a loopback address, or CERVIX_API_OPEN=true behind a proxy that speaks TLS",
            found=f"--host {options.host}",
        )
    import uvicorn  # Streamlit's server too

    import cervix.api.routes  # noqa: F401 - before the first call, which would wait for it
    from cervix.api import PREFIX
    from cervix.api.server import server

    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    print(f"http://{options.host}:{options.port}{PREFIX} until Ctrl-C. {RESEARCH_NOTICE}", flush=True)
    uvicorn.run(
        server(),
        host=options.host,
        port=options.port,
        log_level="warning",
        access_log=False,
        server_header=False,
        # What a proxy says of a caller opens nothing: ``cervix.web.programs`` sees it and decides.
        proxy_headers=False,
        limit_concurrency=CALLS_AT_ONCE,
        timeout_graceful_shutdown=LAST_CALLS_S,
    )
    return 0
