"""Where stops and liquidations wait."""
