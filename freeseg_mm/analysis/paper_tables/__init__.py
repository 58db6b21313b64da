"""Tables 1-7 of the paper with our results beside them."""

from .filling import fill_table
from .paper_tables import TABLES
from .reports import csv_report, markdown_report
from .result_files import Result, read_results
from .row_configs import RowConfig, load_rows

__all__ = [
    'TABLES',
    'Result',
    'RowConfig',
    'csv_report',
    'fill_table',
    'load_rows',
    'markdown_report',
    'read_results',
]
