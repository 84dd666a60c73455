"""What people look at: a page for each slide, and a table of all; extra `report`.

A results folder goes in, one HTML file comes out: no script, no request, no time but that of run.json.
"""

from her2edge.errors import ResultsError
from her2edge.report.index import Index, write_index
from her2edge.report.page import Report, write_report

__all__ = ["Index", "Report", "ResultsError", "write_index", "write_report"]
