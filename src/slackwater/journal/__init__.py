"""Trade journal: an append-only, hash-chained record of scores, decisions, trades, refusals and notes."""
