"""What was known at each bar close: one compiled kernel a family, for history and for live rows alike."""
