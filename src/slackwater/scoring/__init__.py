"""Scores and trade plans from an exported bundle; loading one runs no code of it and needs no training."""
