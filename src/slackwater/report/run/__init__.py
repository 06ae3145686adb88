"""Report of a run as one HTML file: six questions of a trader, answered from the files of the run."""
