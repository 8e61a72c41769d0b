"""Runs a Celery worker for two tasks at a time on the queues named."""
import os
import sys

from celery.signals import worker_ready

from jobs import app

import parent


@worker_ready.connect
def ready(**_):
    print("ready", file=sys.__stdout__, flush=True)


parent.follow()
os.environ["WORKER_PID"] = str(os.getpid())
app.worker_main(["worker", "-c", "2", "-l", "ERROR", "-Q", ",".join(sys.argv[1:])])
