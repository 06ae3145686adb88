"""Splits that keep the future out of the training rows: purged by label end time, with an embargo."""
