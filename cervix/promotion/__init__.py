"""Candidate bundles: unpacked, proved, compared, promoted by rules, taken back."""
