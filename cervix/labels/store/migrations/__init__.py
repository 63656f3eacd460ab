"""How the tables of the label store came to be, step by step; `cervix.labels.store.upgrading` takes the steps that are missing."""
