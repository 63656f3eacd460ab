"""The sample candidate of the demo: retrained from the labels of its scripted readers, and kept beside its parent."""

import hashlib
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from cervix.bundle import Bundle
from cervix.files import replacing
from cervix.labels import LabelStore, Score, open_store
from cervix.patients.golden import prove_bundle
from cervix.retraining.log import LogLine
from cervix.sandbox import fill
from cervix.sandbox.candidate import LOG, SCORES, packed_scores, sample_candidate
from cervix.sandbox.delta import pack, unpack
from cervix.sandbox.filling import MADE_BY
from cervix.settings import get_settings
from training.bundle.candidate import retrain
from training.shared.stages import Log
from training.slide.graph import SlideGraph
from training.slide.rehearsal import SHIPPED


def make_sample_candidate(
    parent_dir: Path, recipe_path: Path, archive: Path, told: Sequence[LogLine], log: Log,
    progress: Callable[[str, float, str], None],
) -> str:  # fmt: skip
    """Fill a scratch home, retrain the slide model from its labels, write the archive; returns the candidate's label.

    Takes about a minute on two processors.

    Parameters
    ----------
    parent_dir : Path
        Folder of the bundle that ships with the app.
    told : lines of the log so far, which become the record of the run
        ``log`` and ``progress`` add to them.

    Raises
    ------
    BundleError
        If the parent does not prove itself, or the candidate cannot be put together again from the archive.
    LabelsTooFew, VariantRefused
        As ``retrain``.
    """
    with tempfile.TemporaryDirectory(prefix="sample-candidate-") as place:
        settings = get_settings().model_copy(update={"home": Path(place) / "home", "labels_url": "", "device": "cpu"})
        parent = prove_bundle(parent_dir, device="cpu")
        slide = parent.manifest.first_of("tile")
        fill(settings, parent, lambda _, words: log(words))
        made = Path(place) / "candidate"
        with open_store(settings.label_store_url) as store:
            retrain(parent_dir, store, [slide.id], recipe_path, None, made, MADE_BY, log, progress)
            scores = _scores_packed(parent, store)
        head = SlideGraph((made / next(v.file for v in slide.variants if v.precision == SHIPPED)).read_bytes()).head
        arrays = {"hidden": head.hidden_kernel, "logits": head.logit_kernel}
        record = "\n".join(line.as_json() for line in told).encode()
        with replacing(archive) as temporary:
            pack(parent_dir, made, temporary, arrays, {SCORES: scores, LOG: record})
            unpack(temporary, parent_dir, Path(place) / "again")
    sample_candidate.cache_clear()
    return sample_candidate(archive).label


def _scores_packed(parent: Bundle, store: LabelStore) -> bytes:
    """The parent's scores of every tile of the store."""
    model_id = parent.session_of("tile").model.id
    scores = [
        Score(
            row["case_id"], model_id, parent.sha256, parent.manifest.version,
            row["probabilities"], row["embedding"], row["novelty"],
        )
        for row in store.scores(parent.sha256, "tile").to_dict("records")
    ]  # fmt: skip
    pixels = [hashlib.sha256(store.case(score.case_id).picture.tobytes()).hexdigest() for score in scores]
    return packed_scores(parent, pixels, scores)
