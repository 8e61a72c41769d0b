"""The jobs of the tests of RQ."""
import ctypes
import signal
import time

PR_SET_PDEATHSIG = 1  # of Linux


def long(seconds):
    # RQ's job processes outlive a worker that is killed. On a dyno all processes end together.
    if hasattr(ctypes.CDLL(None), "prctl"):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    time.sleep(seconds)


def fail():
    raise ValueError("as told")
