"""What an operation of the API is: one entry makes its route, its checks and its description."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cervix.api.bodies import options_of
from cervix.api.told import NoOptions

BINARY: Final = {"type": "string", "format": "binary"}
"""A body that is a file."""
OBJECT: Final = {"type": "object"}
Content = Mapping[str, "type[BaseModel] | tuple[type[BaseModel], ...] | dict[str, Any]"]
"""Media type -> what it holds: a model, one of several, or a schema where it is a file."""


@dataclass(frozen=True)
class Header:
    """A header that a call brings."""

    name: str
    description: str
    schema: dict[str, Any]
    required: bool = True


@dataclass(frozen=True)
class Answer:
    """What one status of an operation holds."""

    description: str
    content: Content = field(default_factory=dict)
    headers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Operation:
    """One thing that can be asked.

    Attributes
    ----------
    handler : (request, options) -> Response
    options : model of the query
    bodies : media type -> what it holds; empty where no body is taken
    answers : status -> what it holds
    refusals : further statuses, all of which hold a ``Refusal``
    """

    method: str
    path: str
    name: str
    summary: str
    handler: Callable[[Request, Any], Awaitable[Response]]
    answers: Mapping[int, Answer]
    refusals: tuple[int, ...] = ()
    options: type[BaseModel] = NoOptions
    bodies: Content = field(default_factory=dict)
    headers: tuple[Header, ...] = ()

    async def answered(self, request: Request) -> Response:
        """The answer to a call, its options checked."""
        return await self.handler(request, options_of(request, self.options))


def routes_of(operations: tuple[Operation, ...]) -> list[Route]:
    """One route an address; a method that it does not take is refused with those that it takes."""
    by_path: dict[str, dict[str, Operation]] = {}
    for operation in operations:
        by_path.setdefault(operation.path, {})[operation.method] = operation
    return [Route(path, _dispatch(of), methods=list(of)) for path, of in by_path.items()]


def _dispatch(operations: dict[str, Operation]) -> Callable[[Request], Awaitable[Response]]:
    async def dispatched(request: Request) -> Response:
        # HEAD is answered as GET is, by the server's own rule.
        operation = operations.get(request.method) or operations["GET"]
        return await operation.answered(request)

    return dispatched
