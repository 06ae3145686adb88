"""The public archive of Binance futures: which files there are, what is in them, and canonical tables out of them.

::

    catalogue    which files hold a table, by day or by month, and where they are
    container    the one csv inside of a zip, opened without trusting the zip
    csv_rows     rows of a csv, with or without a header, and those that cannot be read
    screening    rows that are taken out or repaired, each with a finding
    bars, metrics, events, trades    one parser a kind of file
    parts        a file parsed once, and kept
    fetch        all of it: plan, download, parse, put in order
"""
