"""Estimates of where stops and liquidations are, and the levels that the price sweeps."""
