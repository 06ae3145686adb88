"""Labels of signal events: triple barriers, trade outcomes, and weights of overlapping labels."""
