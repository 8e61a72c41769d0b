"""Works on a list, a sorted set or a stream, one job at a time. SIGTERM ends it when its job is done."""
import os
import signal

from queues import KIND, queue

import parent

stopping = False


def stop(*_):
    global stopping
    stopping = True


signal.signal(signal.SIGTERM, stop)
parent.follow()
os.environ["WORKER_PID"] = str(os.getpid())
if KIND == "stream":
    queue.create_group()
print("ready", flush=True)
while not stopping:
    queue.work()
