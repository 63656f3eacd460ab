"""Cases of the label store in words: what they can be labelled as, and which one it is."""

from cervix.bundle import Bundle
from cervix.labels.store.cases import KINDS, PATIENT_LABELS, Kind

SHA_SHOWN = 8


def labelled_classes(bundle: Bundle, kind: Kind) -> dict[str, str]:
    """What a case can be labelled as, with the words on the buttons."""
    model = bundle.manifest.first_of(KINDS[kind].model_kind)
    if kind == "tile":
        return model.class_titles
    no, yes = PATIENT_LABELS
    return {no: f"No {model.main_task.title}", yes: model.main_task.title}


def case_words(case_id: str) -> str:
    """A case by its id: where the tile lies, or which woman it is by her pseudonym."""
    kind, source, *rest = case_id.split(":")
    if kind == "tile":
        x, y, _ = rest
        return f"Slide {source[:SHA_SHOWN]}… at {x}, {y}"
    return f"Woman {':'.join(rest)} of table {source[:SHA_SHOWN]}…"
