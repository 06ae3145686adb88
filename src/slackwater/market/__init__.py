"""What a venue tells us, and when it became known."""
