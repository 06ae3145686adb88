"""Metrics of ranking, calibration and trades, with their uncertainty and the effect of selection."""
