"""Bring your own: a directory of parquet or CSV files, read as canonical tables through a column map.

::

    directory.py      read_directory: every table, in order, with what had to be done about it
      table_file.py   TableFile: where a table is and how its columns become canonical ones
      raw_columns.py  the columns of one file, exactly as they are
      clock.py        stamps in whatever form become UTC
    understanding.py  what was understood, as a page to read
"""
