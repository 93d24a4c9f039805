"""How many examples Hypothesis draws for each law.

``fast`` is for ``make test``; CI asks for more with ``HYPOTHESIS_PROFILE=slow``; and
``explore`` hunts for what neither has seen.
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

# The gate draws the same examples each time, so that it is red only where a change made
# it so; ``explore`` draws new ones, to hunt.
settings.register_profile("fast", QUIET, max_examples=25, derandomize=True)
settings.register_profile("slow", QUIET, max_examples=40, derandomize=True)
settings.register_profile("explore", QUIET, max_examples=300, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))
