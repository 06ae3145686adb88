"""Features of what was known at each bar close: one compiled kernel per family, for history and live rows alike."""
