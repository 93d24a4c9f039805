"""How many examples Hypothesis draws for each law.

``fast`` is for ``make test``; CI asks for more with ``HYPOTHESIS_PROFILE=slow``.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# Before torch is imported, here and in the processes that tests start: toy tensors gain
# nothing from threads, which beside other tests mostly wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# An example may train a little model: on a busy machine its time says nothing, so
# neither a deadline nor the check for slow data decides whether a law holds.
QUIET = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

settings.register_profile("fast", QUIET, max_examples=25)
settings.register_profile("slow", QUIET, max_examples=75, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))
