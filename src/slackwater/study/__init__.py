"""Studies: many configurations of one data set, every one of them recorded, and tests of a frozen bundle."""
