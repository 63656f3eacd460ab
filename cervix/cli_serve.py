"""``python -m cervix serve``: the scoring API without the app's pages."""
