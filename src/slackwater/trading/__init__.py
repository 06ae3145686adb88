"""Brackets, costs, sizes and rules of a trade; the gate, and the backtest through it."""
