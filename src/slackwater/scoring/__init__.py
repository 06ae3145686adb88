"""Scores from an exported bundle: no labels, no training, nothing that loads code."""
