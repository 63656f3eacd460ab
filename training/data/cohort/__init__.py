"""Simulated women: natural history, screening, files, data sheet."""
