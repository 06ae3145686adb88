"""Defects of market data: how they are found, the known ones, and the ledger that records each of them."""
