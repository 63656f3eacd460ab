"""What a run over many slides has found: one table of answers, tiles by slide, a summary, drift, and the order to look in."""
