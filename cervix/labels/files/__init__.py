"""Labels out to files and in from files."""
