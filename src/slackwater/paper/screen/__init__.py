"""Screens of paper trading: the terminal, and one page on the loopback interface; both draw a `View`."""
