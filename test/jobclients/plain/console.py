"""Evaluates each line of its input, with the queue at hand, and answers with a line of JSON."""
import json
import sys

from queues import queue

for line in sys.stdin:
    print(json.dumps(eval(line)), flush=True)
