"""``python -m benchmarks.routes SLIDE``: the app's routes alone, with a token for each printed on the first line."""

import json
import socket
import sys
from pathlib import Path

import uvicorn
from starlette.applications import Starlette

from cervix.slides.deepzoom import WorldMap
from cervix.sources.opening import open_slide
from cervix.web import UploadGrant, open_view, routes, upload_tokens
from cervix.web.sockets import answering_at_once


def main() -> None:
    """Serve until killed."""
    slide = open_slide(Path(sys.argv[1]), sha256="benchmark") if len(sys.argv) > 1 else None
    listener = socket.create_server(("127.0.0.1", 0))
    told = {"port": listener.getsockname()[1], "upload": upload_tokens.grant(UploadGrant())}
    if slide is not None:
        world = WorldMap(slide.width_l0_px, slide.height_l0_px)
        told |= {"slide": open_view(slide), "max_zoom": world.max_zoom, "side": slide.width_l0_px}
    print(json.dumps(told), flush=True)
    uvicorn.Server(uvicorn.Config(Starlette(routes=routes, lifespan=answering_at_once), log_level="warning")).run(
        sockets=[listener]
    )


if __name__ == "__main__":
    main()
