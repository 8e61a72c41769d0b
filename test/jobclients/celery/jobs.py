"""The tasks of the tests of Celery."""
import os
import time

from celery import Celery

app = Celery("jobs", broker=os.environ["REDIS_URL"])
app.conf.worker_prefetch_multiplier = 1
app.conf.broker_transport_options = {
    "visibility_timeout": int(os.environ.get("VISIBILITY_TIMEOUT", "3600")),
    "global_keyprefix": os.environ.get("KEY_PREFIX", ""),
}


@app.task
def early(seconds):
    time.sleep(seconds)


@app.task(acks_late=True)
def late(seconds):
    time.sleep(seconds)
