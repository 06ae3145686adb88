"""Reports: results that people would rather look at than read.

::

    run, compare, account   pages as one HTML file: of a run, of two runs, of an account of a journal
    page                    what these pages are made of: pictures, tables, the price chart, the document
    <name>_page             pages in Markdown
    figures, <name>_figures pictures as PNG
"""
