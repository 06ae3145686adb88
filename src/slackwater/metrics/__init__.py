"""What a number is worth: ranking, calibration, trades, and the uncertainty and selection behind them."""
