"""The DVC stages: each reads, calls the library once, and writes."""
