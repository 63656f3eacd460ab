"""Why a model, its description or its tiles are not made into a bundle."""

from pydantic import ValidationError

from cervix.errors import CervixError


class WrapRefused(CervixError, ValueError, code="wrap-refused"):
    """Raised when a model from elsewhere cannot be made into a bundle as it is, or as it is described."""


def faults_of(error: ValidationError) -> str:
    """What pydantic found wrong, every key with its place."""
    faults = (f"{'.'.join(map(str, item['loc'])) or 'all'}: {item['msg']}" for item in error.errors(include_url=False))
    return "; ".join(faults)
