"""Programs that print speed and memory figures; never run as tests."""
