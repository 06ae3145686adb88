"""Report of an account of a journal, such as a period of paper trading."""
