"""A synthetic perpetual-futures market, one file per part of its economics: no data or network is needed."""
