"""Classifiers, their calibration, and fast exact scoring of what they learned."""
