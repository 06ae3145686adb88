"""Sources of tables: venues, the public archive of Binance, whale data, and files of your own."""
