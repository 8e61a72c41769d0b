"""A job that takes a while, and writes what becomes of it to the file named by JOB_LOG: see stack.JobLog."""
import json
import os
import time


def work(job, seconds):
    _note("start", job)
    time.sleep(seconds)
    _note("end", job)


def _note(event, job):
    if "JOB_LOG" not in os.environ:
        return
    # A forked process works for the one that the dyno runs.
    line = {"at": time.time(), "event": event, "job": job, "attempt": 1,
            "dyno": os.environ.get("DYNO"), "pid": int(os.environ["WORKER_PID"])}
    with open(os.environ["JOB_LOG"], "a") as file:
        file.write(json.dumps(line) + "\n")
