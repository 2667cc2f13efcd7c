"""Celery with its Redis transport and result backend against a running server: no task is lost, none runs twice.

Run by tests/clients.rs, which starts the server; by hand:

    SKERRY_PORT=6379 python tests/python/test_celery.py
"""

import collections
import os
import signal
import subprocess
import sys
import threading
import time
import unittest

import celery
import redis

PORT = int(os.environ.get("SKERRY_PORT", "6379"))
URL = f"redis://127.0.0.1:{PORT}"

app = celery.Celery("test_celery", broker=f"{URL}/0", backend=f"{URL}/1")
app.conf.update(
    task_acks_late=True,
    worker_prefetch_multiplier=4,
    broker_connection_retry_on_startup=True,
    broker_transport_options={"queue_order_strategy": "priority", "priority_steps": [0, 3, 6, 9]},
    task_routes={"test_celery.flaky": {"queue": "other"}},
)

#: Where tasks leave their traces.
traces = redis.Redis(port=PORT, db=2, decode_responses=True)


def leave_trace(name):
    """Says in two places that a task has run."""
    with traces.pipeline() as pipe:
        pipe.hincrby("runs", name, 1)
        pipe.rpush("order", name)
        pipe.execute()


@app.task
def double(number, name="double"):
    leave_trace(f"{name}:{number}")
    return 2 * number


@app.task
def total(numbers, name):
    leave_trace(f"total:{name}")
    return sum(numbers)


@app.task(bind=True, max_retries=3)
def flaky(self, number):
    """Succeeds when it is tried for the third time."""
    attempt = self.request.retries
    leave_trace(f"flaky:{number}:{attempt}")
    if attempt < 2:
        raise self.retry(countdown=0.3)
    return number


class Worker:
    """A worker process with four processes of its own."""

    def __init__(self, name):
        command = [sys.executable, "-m", "celery", "-A", "test_celery", "worker", "-n", f"{name}@test"]
        command += ["-c", "4", "--pool", "prefork", "-l", "error", "-Q", "celery,other"]
        here = os.path.dirname(os.path.abspath(__file__))
        environment = {**os.environ, "PYTHONPATH": here, "PYTHONWARNINGS": "ignore"}
        self.process = subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, start_new_session=True
        )

    def end(self):
        """Lets it end in order; by force when it does not."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        finally:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()


def values_of(results):
    """The values of results, by asking for each until it is there."""
    values = []
    deadline = time.monotonic() + 30
    for result in results:
        while not result.ready():
            assert time.monotonic() < deadline, f"no result of {result.id}"
            time.sleep(0.01)
        values.append(result.result)
    return values


class Workload(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        traces.flushall()
        # The sweep that brings back messages of lost workers frees its lock by a script. A lock that somebody holds already
        # keeps it from running.
        redis.Redis(port=PORT, db=0).set("unacked_mutex", "held")
        cls.workers = []
        for name in ("one", "two"):
            cls.workers.append(Worker(name))
            cls.addClassCleanup(cls.workers[-1].end)
        deadline = time.monotonic() + 20
        while len(app.control.ping(timeout=0.3)) < len(cls.workers):
            assert time.monotonic() < deadline, "the workers do not answer"

    def test_no_task_is_lost_or_runs_twice(self):
        plain, grouped, chords, retried, delayed = 1500, 300, 8, 40, 40
        expected = {f"double:{number}" for number in range(plain)}
        expected |= {f"group:{number}" for number in range(grouped)}
        expected |= {f"chord {chord}:{number}" for chord in range(chords) for number in range(20)}
        expected |= {f"total:{chord}" for chord in range(chords)}
        expected |= {f"flaky:{number}:{attempt}" for number in range(retried) for attempt in range(3)}
        expected |= {f"later:{number}" for number in range(delayed)}
        expected |= {"first:1", "second:2", "third:4"}

        doubled = {}

        def produce(numbers):
            results = [double.apply_async((number,), priority=number % 4 * 3) for number in numbers]
            doubled.update(zip(numbers, values_of(results)))

        producers = [threading.Thread(target=produce, args=(range(first, plain, 3),)) for first in range(3)]
        for producer in producers:
            producer.start()
        retries = [flaky.delay(number) for number in range(retried)]
        later = [double.apply_async((number, "later"), countdown=0.5 + number / 40) for number in range(delayed)]
        group = celery.group(double.s(number, "group") for number in range(grouped)).apply_async()
        bodies = []
        for chord in range(chords):
            header = [double.s(number, f"chord {chord}") for number in range(20)]
            bodies.append(celery.chord(header)(total.s(str(chord))))
        chain = celery.chain(double.s(1, "first"), double.s("second"), double.s("third")).apply_async()
        # These wait for messages that the results are there.
        self.assertEqual(group.get(timeout=30), [2 * number for number in range(grouped)])
        self.assertEqual(chain.get(timeout=30), 8)
        self.assertEqual(values_of(bodies), [2 * sum(range(20))] * chords)
        self.assertEqual(values_of(retries), list(range(retried)))
        self.assertEqual(values_of(later), [2 * number for number in range(delayed)])
        for producer in producers:
            producer.join()
        self.assertEqual(doubled, {number: 2 * number for number in range(plain)})

        runs = traces.hgetall("runs")
        self.assertEqual(set(runs), expected)
        self.assertEqual({name for name, count in runs.items() if count != "1"}, set(), "run twice")
        self.assertEqual(collections.Counter(traces.lrange("order", 0, -1)), collections.Counter(expected))

        # Acknowledged, every one.
        broker = redis.Redis(port=PORT, db=0)
        deadline = time.monotonic() + 10
        left = ["unacked", "unacked_index", "celery", "other"]
        while broker.exists(*left):
            self.assertLess(time.monotonic(), deadline, "something is left of the tasks")
            time.sleep(0.05)


if __name__ == "__main__":
    unittest.main(verbosity=2)
