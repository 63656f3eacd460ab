"""The bundle as a whole: built from every model, or a candidate from labels."""
