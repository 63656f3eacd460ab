"""How the tables of the label store came to be, step by step; `upgrading.py` beside takes those that are missing."""
