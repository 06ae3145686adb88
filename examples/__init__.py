"""Examples that the documentation walks through, and that tests run."""
