"""What every screen and export carries: which bundle, on which device, when, and that it is no medical device."""

from dataclasses import dataclass
from datetime import UTC, datetime

import pandas as pd

from cervix import RESEARCH_NOTICE, __version__
from cervix.bundle import Bundle


@dataclass(frozen=True)
class Provenance:
    """Where a figure comes from."""

    bundle: str
    bundle_sha256: str
    app_version: str
    provider: str
    created: str
    """ISO 8601, UTC, to the second."""
    notice: str = RESEARCH_NOTICE
    """``Model.notice``: of an unevaluated model it says so too."""

    def stamp(self, table: pd.DataFrame) -> pd.DataFrame:
        """The table with one constant column per fact, so that every row of an export carries them."""
        return table.assign(
            bundle=self.bundle,
            bundle_sha256=self.bundle_sha256,
            app_version=self.app_version,
            provider=self.provider,
            scored_at=self.created,
            notice=self.notice,
        )


def provenance_of(bundle: Bundle, model_id: str) -> Provenance:
    """The provenance of a score that this bundle's model makes now."""
    return Provenance(
        bundle=f"{bundle.manifest.name} {bundle.manifest.version}",
        bundle_sha256=bundle.sha256,
        app_version=__version__,
        provider=bundle.session(model_id).device_label,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        notice=bundle.manifest.model(model_id).notice,
    )
