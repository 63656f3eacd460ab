"""The label store: what readers said of which case, appended and never changed."""
