"""What can be labelled: tiles of scored slides, women of scored tables."""
