"""Results for people: a page in one file, and a table for the terminal. Needs ``pip install "gasl[report]"``."""

from gasl.report.data import ReportData
from gasl.report.html import write_report
from gasl.report.terminal import result_view

__all__ = ["ReportData", "result_view", "write_report"]
