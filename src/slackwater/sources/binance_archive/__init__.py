"""The public archive of Binance futures: its files, and canonical tables from them.

::

    catalogue    the files of a table, by day or by month, and their paths
    container    the one csv inside of a zip, opened without trusting the zip
    csv_rows     rows of a csv, with or without a header, and those that cannot be read
    screening    rows that are taken out or repaired, each with a finding
    bars, metrics, events, trades    one parser per kind of file
    parts        parsed files, kept in the cache
    fetch        plan, download, parse, and write in order
"""
