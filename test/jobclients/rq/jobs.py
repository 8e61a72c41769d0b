"""The jobs of the tests of RQ."""
import ctypes
import os
import signal
import sys

from rq import get_current_job

sys.path.append(sys.path[0] + "/..")
import joblog

PR_SET_PDEATHSIG = 1  # of Linux


def long(seconds):
    _end_with_worker()
    joblog.work(get_current_job().id, seconds)


def fail():
    raise ValueError("as told")


def _end_with_worker():
    """RQ's job processes outlive a worker that is killed. On a dyno all processes end together."""
    if hasattr(ctypes.CDLL(None), "prctl"):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(os.environ["WORKER_PID"]):  # it was killed before
        os.kill(os.getpid(), signal.SIGKILL)
