"""A directory of files of one's own, read as canonical tables.

::

    directory.py      read_directory: every table, in order, with what had to be done about it
      kinds.py        the kinds of files, and the class that reads each
      table_file.py   TableFile: parquet or CSV through a column map, the usual kind
      source.py       what every kind is asked for and returns
      screen.py       rows that are taken out, with a finding for each reason
      raw_columns.py  the columns of one parquet or CSV file, exactly as they are
      clock.py        stamps in any form become UTC
    understanding.py  what was understood, as a page to read
"""
