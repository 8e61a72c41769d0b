"""A list, a sorted set and a stream of jobs. REDIS_URL tells where, the arguments which, and its key."""
import json
import os
import sys
import time
import uuid

import redis

sys.path.append(sys.path[0] + "/..")
import joblog

KIND, KEY = sys.argv[1:]
connection = redis.Redis.from_url(os.environ["REDIS_URL"], decode_responses=True)


class List:
    processing = KEY + ":processing"

    def enqueue(self, seconds):
        job = new_job(seconds)
        connection.lpush(KEY, json.dumps(job))
        return job["job"]

    def work(self):
        job = connection.blmove(KEY, self.processing, 1, "RIGHT", "LEFT")
        if job:
            joblog.work(**json.loads(job))
            connection.lrem(self.processing, 1, job)


class SortedSet:
    def enqueue(self, seconds, delay=0):
        job = new_job(seconds)
        connection.zadd(KEY, {json.dumps(job): time.time() + delay})
        return job["job"]

    def work(self):
        due = connection.zrangebyscore(KEY, "-inf", time.time(), start=0, num=1)
        if not due:
            time.sleep(0.2)
        elif connection.zrem(KEY, due[0]):  # else another worker has it
            joblog.work(**json.loads(due[0]))


class Stream:
    group, consumer = "workers", os.environ.get("DYNO", "worker")
    claim_idle = 60_000  # ms, longer than any job

    def enqueue(self, seconds):
        return connection.xadd(KEY, {"seconds": seconds})

    def work(self):
        for job, fields in self._claim() or self._read():
            joblog.work(job, float(fields["seconds"]))
            connection.xack(KEY, self.group, job)

    def _claim(self):
        return connection.xautoclaim(KEY, self.group, self.consumer, self.claim_idle, count=1)[1]

    def _read(self):
        answer = connection.xreadgroup(self.group, self.consumer, {KEY: ">"}, count=1, block=1000)
        return answer[0][1] if answer else []

    def create_group(self):
        try:
            connection.xgroup_create(KEY, self.group, id="0", mkstream=True)
        except redis.ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):  # another worker made it
                raise


def new_job(seconds):
    return {"job": uuid.uuid4().hex, "seconds": seconds}


queue = {"list": List, "sorted_set": SortedSet, "stream": Stream}[KIND]()
