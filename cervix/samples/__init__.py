"""Cases to try: slides, women and lists, each with what to look at."""
