"""The tasks of the tests of Celery."""
import os
import sys

from celery import Celery

sys.path.append(sys.path[0] + "/..")
import joblog

app = Celery("jobs", broker=os.environ["REDIS_URL"])
app.conf.worker_prefetch_multiplier = 1
app.conf.broker_transport_options = {
    "visibility_timeout": int(os.environ.get("VISIBILITY_TIMEOUT", "3600")),
    "global_keyprefix": os.environ.get("KEY_PREFIX", ""),
}


@app.task(bind=True)
def early(self, seconds):
    joblog.work(self.request.id, seconds)


@app.task(bind=True, acks_late=True)
def late(self, seconds):
    joblog.work(self.request.id, seconds)
