"""The one scoring desk of this server, for pages and programs alike: a score is made once, whoever asks."""

import logging
from functools import lru_cache
from pathlib import Path
from threading import Lock, Thread

from cervix.errors import BundleError
from cervix.settings import get_settings
from cervix.slides.desk import ScoringDesk
from cervix.web.bundles import active_proved
from cervix.web.uploads import upload_store

logger = logging.getLogger(__name__)

_making = Lock()


# A server has one home; tests have many.
@lru_cache(maxsize=64)
def _desk_of(results_dir: Path) -> ScoringDesk:
    return ScoringDesk(results_dir, upload_store().sha256_at)


def scoring_desk() -> ScoringDesk:
    """The desk under the settings' home."""
    with _making:
        return _desk_of(get_settings().results_dir)


def sweep_uploads() -> int:
    """Delete the uploads whose time is over and that nobody scores; returns how many."""
    return upload_store().sweep(get_settings().uploads_keep_hours * 3600, scoring_desk().slides_in_use())


def resume_in_the_background() -> Thread:
    """Prove the active bundle and go on with what an earlier run of the server left unfinished."""
    thread = Thread(target=_resume, name="resume", daemon=True)
    thread.start()
    return thread


def _resume() -> None:
    try:
        resumed = scoring_desk().resume(active_proved())
    except BundleError as error:
        logger.warning("nothing is gone on with, because the active bundle was refused: %s", error.problem)
        return
    if resumed:
        logger.info("%d unfinished scores are gone on with", resumed)
