"""The report of runs: what their files tell, as one page or one picture."""

from engine.report.folder import read_run, read_runs
from engine.report.page import render, write_page
from engine.report.run import Run
from engine.report.summary import Status, status

__all__ = [
    "Run",
    "Status",
    "read_run",
    "read_runs",
    "render",
    "status",
    "write_page",
]
