"""``python -m cervix archive``: many slides and tables of many women, on this machine or on a cluster."""
