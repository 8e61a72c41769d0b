"""Evaluates each line of its input, with RQ at hand, and answers with a line of JSON."""
import json
import os
import sys
import time
from datetime import timedelta

import redis
from rq import Queue, Retry
from rq.registry import FailedJobRegistry, ScheduledJobRegistry, StartedJobRegistry
from rq.suspension import is_suspended, resume, suspend

import jobs

connection = redis.Redis.from_url(os.environ["REDIS_URL"])
default, mailers = (Queue(name, connection=connection) for name in ("default", "mailers"))


def state():
    """What RQ says of both queues. Its own counts are not used: they change what they count."""
    now = time.time()
    found = {"depth": 0, "in_flight": 0, "orphans": 0, "due": 0, "failed": 0, "paused": bool(is_suspended(connection))}
    for queue in (default, mailers):
        started = connection.zrange(StartedJobRegistry(queue=queue).key, 0, -1, withscores=True)
        found["depth"] += len(queue.job_ids)
        found["in_flight"] += sum(score > now for _, score in started)
        found["orphans"] += sum(score <= now for _, score in started)
        found["failed"] += connection.zcard(FailedJobRegistry(queue=queue).key)
        scheduled = connection.zrange(ScheduledJobRegistry(queue=queue).key, 0, 0, withscores=True)
        found["due"] = min(filter(None, [found["due"], *(score for _, score in scheduled)]), default=0)
    return found


for line in sys.stdin:
    print(json.dumps(eval(line), default=str), flush=True)
