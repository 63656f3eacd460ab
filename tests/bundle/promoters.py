"""What other processes do to the line of promotions in the tests."""

from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path

from cervix.bundle import Bundle
from cervix.bundle.active import promotion_line
from cervix.bundle.loading import read_manifest
from cervix.errors import PromotionRefused
from cervix.labels import open_store
from cervix.promotion import promote as promoting
from cervix.promotion.comparison import BundleComparison
from cervix.promotion.promote import promote, roll_back
from cervix.settings import Settings


def promote_at_once(
    settings: Settings, root: Path, comparison: BundleComparison, by: str, start: Barrier, answer: Connection
) -> None:
    """Promote a candidate at the same moment as others, and say what came of it."""
    with open_store(settings.label_store_url) as store:
        start.wait()
        try:
            answer.send(promote(settings, root, comparison, store, by).folder)
        except PromotionRefused as error:
            answer.send(str(error))


def roll_back_at_once(settings: Settings, by: str, start: Barrier, answer: Connection) -> None:
    """Take back the promotion that is the last now, at the same moment as others."""
    last = promotion_line(settings).promotions[-1]
    with open_store(settings.label_store_url) as store:
        start.wait()
        try:
            answer.send(roll_back(settings, last, store, by).label)
        except PromotionRefused as error:
            answer.send(str(error))


def change_until_killed(settings: Settings, root: Path, comparison: BundleComparison, answer: Connection) -> None:
    """Promote and roll back without end, and say each change. Nothing is proved, so that a kill meets a change."""
    shipped, candidate = (Bundle(place, *read_manifest(place), {}, []) for place in (settings.bundle_dir, root))
    promoting._proved = lambda *_: candidate
    promoting._active_by = lambda *_: shipped
    with open_store(settings.label_store_url) as store:
        while True:
            if line := promotion_line(settings).promotions:
                roll_back(settings, line[-1], store, "killed")
            else:
                promote(settings, root, comparison, store, "killed")
            answer.send("changed")
