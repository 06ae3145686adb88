"""What a trade would be, what it would cost, and whether it is allowed to be."""
