"""Calls that schemathesis makes up from the description of the API, right and wrong ones, and what is asked of the answers."""

import hashlib
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS
from starlette.applications import Starlette

from cervix.api import api_routes

PATIENCE_S = 120.0
"""The default of ten seconds is over early where others use the processors."""
WANTED = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "ignored_auth",
    "unsupported_method",
)
"""Not ``positive_data_acceptance``: random bytes are no slide, however well they follow the description."""


def fuzz(token: str, *, examples: int, start: int, jobs: list[str], goes_on: Callable[[], bool] = lambda: True) -> Counter[str]:
    """Throw ``examples`` right and as many wrong calls at each operation; returns how many answers had each status.

    Parameters
    ----------
    start : int
        The seed: the same calls again.
    jobs : list of str
        Ids of jobs that are there, asked for in turn, so that not every address is one of nothing.

    Raises
    ------
    schemathesis failure
        At the first answer that is not as described.
    """
    application = Starlette(routes=api_routes)
    described = schemathesis.openapi.from_asgi("/api/v1/openapi.json", application, headers=_shown(token))
    # Wrong calls are wrong in something else than the token, which all of them show.
    unguarded = schemathesis.openapi.from_dict(
        {name: part for name, part in described.raw_schema.items() if name != "security"}
    )
    unguarded.app = application
    checks = [CHECKS.get_one(name) for name in WANTED]
    seen: Counter[str] = Counter()

    def throw(operation: Any, mode: GenerationMode) -> None:
        @seed(start)
        @settings(
            max_examples=examples, deadline=None, database=None, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(case=operation.as_strategy(generation_mode=mode))
        def thrown(case: Any) -> None:
            if not goes_on():
                return
            if case.path_parameters and jobs and case.method == "GET" and mode == GenerationMode.POSITIVE and _even(case):
                case.path_parameters = {"job": jobs[seen.total() % len(jobs)]}
            answer = case.call(headers=_shown(token), timeout=PATIENCE_S)
            seen[f"{operation.label} {answer.status_code}"] += 1
            case.validate_response(answer, checks=checks, headers=_shown(token))

        thrown()

    for mode, schema in ((GenerationMode.POSITIVE, described), (GenerationMode.NEGATIVE, unguarded)):
        for found in schema.get_all_operations():
            # What takes no option and no body cannot be called wrongly.
            with suppress(Unsatisfiable):
                throw(found.ok(), mode)
    return seen


def _shown(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _even(case: Any) -> bool:
    """Half of the calls, the same in every run."""
    return hashlib.sha256(repr(case.path_parameters).encode()).digest()[0] % 2 == 0
