"""Runs an RQ worker, with its scheduler, on the queues named."""
import os
import sys

import redis
from rq import Queue, Worker

sys.path.append(sys.path[0] + "/..")
import parent

parent.follow()
os.environ["WORKER_PID"] = str(os.getpid())
connection = redis.Redis.from_url(os.environ["REDIS_URL"])
worker = Worker([Queue(name, connection=connection) for name in sys.argv[1:]], connection=connection)
print("ready", flush=True)
worker.work(with_scheduler=True)
