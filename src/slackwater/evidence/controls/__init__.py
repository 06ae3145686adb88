"""Controls of the trades of a run: simpler rules and placebos, measured on the same events, costs and bracket."""
