"""Paper trading: scores, decisions, orders and fills on live data, without any way to place a real order."""
