"""What a program sends along, read within bounds."""

from starlette.requests import Request


def media_type_of(request: Request) -> str:
    """The media type of a body, in small letters and without its parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def body_within(request: Request, most_bytes: int) -> bytes | None:
    """All of a body; None as soon as it is larger than ``most_bytes``. ``ClientDisconnect`` where it breaks off."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > most_bytes:
            return None
        parts.append(part)
    return b"".join(parts)
