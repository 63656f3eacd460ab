"""Evidence: for each model one screen that says how good it is and where it fails, then everything behind that, tab by tab."""

from pages.parts.evidence.choosing import chosen_model, chosen_view
from pages.parts.evidence.summary import show_summary
from pages.parts.shared.frame import bundle_or_stop, page_line

line = page_line("Evidence")
bundle = bundle_or_stop()
model = chosen_model(bundle, line)
show_summary(bundle, model)

chosen_view(model).show(bundle, model)
