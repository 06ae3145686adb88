"""Venues on loopback: servers that answer in the native formats of Binance, Bybit, OKX and Gate."""
