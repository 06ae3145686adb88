"""A directory of files of one's own, read as canonical tables.

::

    directory.py      read_directory: every table, in order, with what had to be done about it
      kinds.py        the kinds of files, and the class that reads each
      table_file.py   TableFile: one file through a column map, the usual kind
      bar_ends.py     length and close of bars, by their own stamps
      beside.py       WideFile: the columns of a second file beside those of the first
      several_files.py  facts that came more than once
      source.py       what every kind is asked for and returns
      screen.py       rows that are taken out, with a finding for each reason
      raw_columns.py  the columns of one file, exactly as they are
      json_file.py    rows of a JSON file
      wrapping.py     form, compression and table of a file, by its name
      numbers.py      numbers in any form become float64
      clock.py        stamps in any form become UTC
    understanding.py  what was understood, as a page to read
      coverage.py     what of each table is there, missing or masked, and why
"""
