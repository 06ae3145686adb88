"""Parts that the pages of a run, of two runs and of an account share: pictures, tables, the chart, the document."""
