"""Masters with a replica, and how long a full resynchronization takes."""

import os
import subprocess
import time

from .cases import CPU, Case, Check, Side, load
from .measure import BOTH_CORES, FAILURES, LOAD_CORE
from .servers import Client, Process, ServerError, free_ports, redis_process

SINK = os.path.join(os.path.dirname(os.path.abspath(__file__)), "sink.py")
SYNC_TIMEOUT_S = 300
POLL_S = 0.01


class Sink:
    """A replica that keeps nothing (`sink.py`), in sync."""

    def __init__(self, port, cores):
        command = ["taskset", "-c", cores, "python3", SINK, str(port)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line:
            self.stop()
            raise ServerError("the replica that keeps nothing did not synchronize")
        self.seconds, self.bytes = float(line.split()[0]), int(line.split()[1])

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class Followed:
    """A server with a replica that keeps nothing on the load's core; for the rest it is the server."""

    def __init__(self, server):
        self.server = server
        try:
            server.ask("CONFIG", "SET", "repl-diskless-sync-delay", 0)
            self.sink = Sink(server.port, LOAD_CORE)
        except BaseException:
            server.stop()
            raise

    def __getattr__(self, name):
        return getattr(self.server, name)

    def stop(self):
        self.sink.stop()
        self.server.stop()


def cases():
    """One shard on core 0; the load and a replica that keeps nothing on core 1."""
    options = load("set", 16)
    sides = {"skerry": Side("skerry", options), "redis": Side("redis", options), "skerry alone": Side("skerry alone", options)}
    return [Case("SET P=16, one replica", sides, [Check(CPU, "skerry", "redis", 0.60)])]


def full_resyncs(skerry, redis, generator, keys, runs, group):
    """Seconds from REPLICAOF until the replica calls its link up, for pairs of servers on both cores."""
    masters = {"redis": lambda: redis(BOTH_CORES), "skerry": lambda: skerry.start(BOTH_CORES, 1),
               "skerry, 2 shards": lambda: skerry.start(BOTH_CORES, 2)}
    replicas = {"redis": lambda port: redis_process(port, BOTH_CORES),
                "skerry, 2 shards": lambda port: Process([skerry.binary, "--port", str(port), "--save", "", "--shards", "2"], port, BOTH_CORES)}
    seconds, failures = {}, {}
    for master_label, start in masters.items():
        try:
            master = start()
        except FAILURES as error:
            failures[master_label] = str(error)
            continue
        try:
            generator.populate(master, BOTH_CORES, keys, 32)
            master.ask("CONFIG", "SET", "repl-diskless-sync-delay", 0)
            taken = []
            for _ in range(runs):
                sink = Sink(master.port, BOTH_CORES)
                taken.append(sink.seconds)
                sink.stop()
                time.sleep(1)
            seconds[master_label, "one that keeps nothing"] = sorted(taken)
            for replica_label, start_replica in replicas.items():
                taken = sorted(resync_seconds(master, start_replica) for _ in range(runs))
                seconds[master_label, replica_label] = taken
        except FAILURES as error:
            failures[master_label] = str(error)
        finally:
            master.stop()
    middle = {pair: taken[len(taken) // 2] for pair, taken in seconds.items()}
    for replica_label in ("one that keeps nothing", *replicas):
        base = middle.get(("redis", replica_label))
        for master_label in ("skerry", "skerry, 2 shards"):
            yield compared(f"full resync of {keys} keys: {master_label} to {replica_label}", group, failures,
                           middle.get((master_label, replica_label)), base, 0.5)
    yield compared(f"full resync of {keys} keys: skerry, 2 shards to the same, against redis to redis", group, failures,
                   middle.get(("skerry, 2 shards", "skerry, 2 shards")), middle.get(("redis", "redis")), 0.5)


def compared(case, group, failures, value, base, limit):
    values = {label: figure for label, figure in (("skerry", value), ("redis", base)) if figure is not None}
    ratio = value / base if value and base else None
    return {"group": group, "case": case, "unit": "s", "values": values, "failures": failures,
            "checks": [{"ratio_value": ratio, "limit": limit, "reached": ratio is not None and ratio <= limit}]}


def resync_seconds(master, start_replica):
    replica = start_replica(free_ports(1))
    try:
        with Client(replica.port) as client:
            client.ask("REPLICAOF", "127.0.0.1", master.port)
            began = time.monotonic()
            while "master_link_status:up" not in client.ask("INFO", "replication"):
                if time.monotonic() - began > SYNC_TIMEOUT_S:
                    raise ServerError("the replica's link did not come up")
                time.sleep(POLL_S)
            return time.monotonic() - began
    finally:
        replica.stop()
        time.sleep(1)
