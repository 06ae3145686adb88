"""Where tables come from: a simulated market, or files."""
