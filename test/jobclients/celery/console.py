"""Evaluates each line of its input, with Celery at hand, and answers with a line of JSON."""
import json
import sys
from datetime import datetime, timedelta, timezone

from jobs import app, early, late


def state():
    """What Celery says: kombu of the queues, the workers of the tasks that run or wait in them."""
    with app.connection_for_read() as connection:
        depth = sum(connection.default_channel._size(name) for name in ("celery", "mailers"))
    inspect = app.control.inspect(timeout=0.5)
    count = lambda replies: sum(len(tasks) for tasks in (replies or {}).values())
    return {"depth": depth, "active": count(inspect.active()), "scheduled": count(inspect.scheduled())}


for line in sys.stdin:
    print(json.dumps(eval(line), default=str), flush=True)
