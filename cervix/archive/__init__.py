"""Many slides and many women at once: one command, any number of machines; nothing scored twice, nothing lost unmarked."""
