"""The models of the risk-factor table."""
