"""How long a snapshot takes, how long it takes to load it, and what clients notice of one that is made."""

import os
import re
import statistics
import threading
import time

from .measure import BOTH_CORES, FAILURES, figure
from .replication import compared
from .servers import Process, free_ports, redis_process

RATE = 50_000
POLL_S = 0.02
FIELDS = {"save": "SAVE", "load": "load at the start"}


def snapshots(skerry, redis, generator, keys, runs, group):
    """SAVE and the load of its file, two shards on both cores; the growth of memory and of p99.9 by BGSAVE under writes."""
    starters = {"skerry": lambda: skerry.start(BOTH_CORES, 2), "redis": lambda: redis(BOTH_CORES)}
    restarts = {
        "skerry": lambda port, path: [skerry.binary, "--port", str(port), "--save", "", "--shards", "2", "--dir", path],
        "redis": None,
    }
    seconds, failures = {"save": {}, "load": {}}, {}
    growth, delays = {}, {}
    for label, start in starters.items():
        try:
            server = start()
        except FAILURES as error:
            failures[label] = str(error)
            continue
        try:
            generator.populate(server, BOTH_CORES, keys, 32)
            seconds["save"][label] = statistics.median(timed(lambda: server.ask("SAVE")) for _ in range(runs))
            seconds["load"][label] = statistics.median(load_seconds(server, restarts[label]) for _ in range(runs))
            pairs = [under_writes(server, generator, keys) for _ in range(runs)]
            growth[label] = statistics.median(grown for grown, _ in pairs)
            delays[label] = statistics.median(delay for _, delay in pairs)
        except FAILURES as error:
            failures[label] = str(error)
        finally:
            server.stop()
    for name, title in FIELDS.items():
        yield compared(f"{title}, {keys} keys", group, failures, seconds[name].get("skerry"), seconds[name].get("redis"), 0.5)
    writes = f"BGSAVE of {keys} keys under {RATE} SETs a second"
    yield figure(group, f"{writes}: growth of memory", "% of the memory", growth, failures, 10)
    yield figure(group, f"{writes}: p99.9 above that without it", "ms", delays, failures, 5)


def timed(work):
    began = time.monotonic()
    work()
    return time.monotonic() - began


def load_seconds(server, restart):
    """How long another server of the kind says that it took to load the file of this one."""
    port, path = free_ports(1), server.processes[0].directory
    if restart:
        process = Process(restart(port, path), port, BOTH_CORES)
    else:
        process = redis_process(port, BOTH_CORES, "--dir", path)
    try:
        with open(os.path.join(process.directory, "log"), errors="replace") as log:
            return float(re.search(r"DB loaded from disk: ([\d.]+) seconds", log.read())[1])
    finally:
        process.process.kill()
        process.stop()


def under_writes(server, generator, keys):
    """By how much, in percent, memory grows while snapshots are made under writes, and the p99.9, in milliseconds."""
    options = ["--command", "set", "--keys", str(keys), "--value-size", "32", "--rate", str(RATE)]
    before = generator.run(server, BOTH_CORES, options)
    memory = memory_bytes(server)
    saver = Saver(server)
    try:
        during = generator.run(server, BOTH_CORES, options)
    finally:
        peak = saver.end()
    return 100 * (peak - memory) / memory, (during["p999_us"] - before["p999_us"]) / 1000


class Saver:
    """Makes one snapshot after another, and watches the memory."""

    def __init__(self, server):
        self.server, self.peak, self.is_over = server, 0, False
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        with self.server.client() as client:
            while not self.is_over:
                if "rdb_bgsave_in_progress:0" in client.ask("INFO", "persistence"):
                    client.ask("BGSAVE")
                self.peak = max(self.peak, memory_bytes(self.server))
                time.sleep(POLL_S)
            while "rdb_bgsave_in_progress:1" in client.ask("INFO", "persistence"):
                time.sleep(POLL_S)

    def end(self):
        self.is_over = True
        self.thread.join()
        return self.peak


def memory_bytes(server):
    """What a server and its children have of the memory, pages that they share counted once."""
    total = 0
    for pid in server.pids():
        for member in (pid, *children(pid)):
            try:
                with open(f"/proc/{member}/smaps_rollup") as rollup:
                    total += int(re.search(r"Pss:\s+(\d+) kB", rollup.read())[1]) * 1024
            except OSError:
                pass  # it has just ended
    return total


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as listed:
        return listed.read().split()
