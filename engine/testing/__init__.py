"""For users' own tests: are two runs the same? does a run resume exactly? toys."""

from engine.testing.resume_check import Finding, ResumeReport, verify_resume
from engine.testing.same_run import RunComparison, assert_same_run, same_run
from engine.testing.toys import EventRecorder, ToyData, toy_model

__all__ = [
    "EventRecorder",
    "Finding",
    "ResumeReport",
    "RunComparison",
    "ToyData",
    "assert_same_run",
    "same_run",
    "toy_model",
    "verify_resume",
]
