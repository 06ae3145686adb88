"""Evidence for or against an edge: controls, sensitivity of the trades, and the verdict."""
