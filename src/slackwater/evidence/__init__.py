"""What a result is worth: controls that must be beaten, and the verdict."""
