"""Report of two runs side by side, with paired differences."""
