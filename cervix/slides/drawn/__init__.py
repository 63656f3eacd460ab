"""Tissue drawn by rules with a fixed seed: sample slides that hold nobody's tissue."""
