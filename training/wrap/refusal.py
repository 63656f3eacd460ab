"""Why a model, its description or its tiles are not made into a bundle."""

from cervix.errors import CervixError


class WrapRefused(CervixError, ValueError, code="wrap-refused"):
    """Raised when a model from elsewhere cannot be made into a bundle as it is, or as it is described."""
