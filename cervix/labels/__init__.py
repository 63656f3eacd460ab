"""The label store: what readers said of which case, appended and never changed.

Everything goes through one class::

    store = open_store(get_settings().label_store_url)
    store.declare_classes("tile", ["benign", "scc", "ac"])
    store.add_cases([tile_case(...), ...])              # what can be labelled, with all that training needs of it
    store.add_scores([Score(...), ...])                 # what a bundle makes of it
    lease = store.lease_next(ranking, "Dr Reed")        # the next case, nobody else's meanwhile
    store.record(LabelEvent(lease.case_id, "Dr Reed", "label", "scc", key=key_made_before_the_click))
    store.undo("Dr Reed", key=another_key)
    store.truths(), store.reads(), store.history("Dr Reed"), store.progress("Dr Reed")

A strategy ranks case ids by ``store.scores(bundle_sha256)``; the lease takes the first of a ranking that is free. Ask
for everything again after an error: an event with a key that is there already is not written twice.
"""

from cervix.labels.store.cases import Case, Score, patient_case, tile_case
from cervix.labels.store.events import LabelEvent
from cervix.labels.store.label_store import LabelStore, open_store
from cervix.labels.store.leases import Lease

__all__ = ["Case", "LabelEvent", "LabelStore", "Lease", "Score", "open_store", "patient_case", "tile_case"]
