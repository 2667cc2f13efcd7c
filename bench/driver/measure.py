"""Carrying out the cases. What comes out are results: dicts that the report prints and stores."""

import time

from . import fills
from .cases import crossing_checks, load
from .load import LoadError, medians
from .servers import Client, ServerError

FAILURES = (LoadError, ServerError, OSError)
LOAD_CORE, BOTH_CORES = "1", "0,1"
SETTLE_S = 1
def judge(check, sides):
    """The ratio that `check` asks for, beside its limit; None for a ratio whose figures are missing."""
    over, under = sides.get(check.over, {}).get(check.figure), sides.get(check.under, {}).get(check.figure)
    ratio = over / under if over is not None and under else None
    reached = ratio is not None and (ratio >= check.limit if check.at_least else ratio <= check.limit)
    return {"side": check.over, "under": check.under, "figure": check.figure, "ratio": ratio,
            "limit": check.limit, "at_least": check.at_least, "reached": reached}


def run_case(case, servers, generator, cores, runs, group):
    """Measures the sides of a case in turn, `runs` times each. A server that did not start stands as its error."""
    reports = {side: [] for side in case.sides}
    failures = {name: str(servers[side.server]) for name, side in case.sides.items()
                if isinstance(servers[side.server], Exception)}
    for _ in range(runs):
        for name, side in case.sides.items():
            if name not in failures:
                try:
                    if case.fill:
                        case.fill(servers[side.server])
                    reports[name].append(generator.run(servers[side.server], cores, side.options, side.cluster))
                except FAILURES as error:
                    failures[name] = str(error)
    return result_of(case.name, group, reports, failures, case.checks)


def shard_slots(server):
    """The slots of the two shards, as LOW-HIGH; halves when the server does not tell."""
    try:
        with Client(server.cluster_port or server.port) as client:
            low, high = sorted(f"{first:05}-{last:05}" for first, last, *_ in client.ask("CLUSTER", "SLOTS"))
            return low, high
    except (*FAILURES, ValueError):
        return "0-8191", "8192-16383"


def result_of(name, group, reports, failures, checks):
    sides = {side: medians(runs) for side, runs in reports.items() if runs and side not in failures}
    return {"group": group, "case": name, "sides": sides, "failures": failures,
            "checks": [judge(check, sides) for check in checks], "runs": reports}


def run_crossing(server, generator, cores, runs, group):
    """One connection to a server of two shards asks for keys of its own shard, of the other one, and of both.

    Which shard a connection belongs to is not known beforehand, so each run asks for one shard's keys, and the
    server's own counts tell afterwards whether they were here or there.
    """
    low, high = shard_slots(server)
    both = f"MSET key:__rand:{low}__ __data__ key:__rand:{high}__ __data__"
    reports = {"GET here": [], "GET there": [], "MSET over both": []}
    failures = {}
    try:
        for attempt in range(4 * runs):
            slots = (low, high)[attempt % 2]
            report = generator.run(server, cores, load("get", 1, 1) + ["--slots", slots])
            local = report["shares"][0] > 0.5 if "shares" in report else slots == low
            reports["GET here" if local else "GET there"].append(report)
            if len(reports["MSET over both"]) < runs:
                reports["MSET over both"].append(generator.run(server, cores, load(both, 1, 1)))
            if all(len(done) >= runs for done in reports.values()):
                break
        else:
            failures = {side: "no run was of this kind" for side, done in reports.items() if not done}
    except FAILURES as error:
        failures = {side: str(error) for side in reports}
    return result_of("one connection, two shards", group, reports, failures, crossing_checks())


def per_server(starters, measure):
    """Starts each server in turn and measures it; returns the values and the reasons of what failed, by label."""
    values, failures = {}, {}
    for label, start in starters.items():
        try:
            server = start()
            try:
                values[label] = measure(server)
            finally:
                server.stop()
        except FAILURES as error:
            failures[label] = str(error)
    return values, failures


def figure(group, case, unit, values, failures, limit):
    """A result that is one number per server, of which Skerry's is checked."""
    value = values.get("skerry")
    check = {"value": value, "limit": limit, "reached": value is not None and value <= limit}
    return {"group": group, "case": case, "unit": unit, "values": values, "failures": failures, "checks": [check]}


def memory_per_key(starters, generator, keys, group):
    """RSS growth a key of 16 bytes with a value of 32, on fresh servers whose network buffers were in use before."""

    def measure(server):
        touch(server, generator, LOAD_CORE)
        before = server.rss_bytes()
        generator.populate(server, LOAD_CORE, keys, 32)
        time.sleep(SETTLE_S)
        return (server.rss_bytes() - before) / keys

    values, failures = per_server(starters, measure)
    return figure(group, f"memory, {keys} keys of 16 B with 32 B", "bytes a key", values, failures, 80)


# What is filled, with which command, how many collections of how many elements, and the part of Redis's memory allowed.
COLLECTIONS = (
    ("a sorted set of 1 M", b"ZADD", 1, 1_000_000, 0.60),
    ("a hash of 1 M", b"HSET", 1, 1_000_000, 0.80),
    ("a set of 1 M", b"SADD", 1, 1_000_000, 0.80),
    ("a list of 1 M", b"RPUSH", 1, 1_000_000, 1.05),
    ("100 k sets of 10", b"SADD", 100_000, 10, 0.50),
    ("100 k hashes of 10", b"HSET", 100_000, 10, 0.85),
    ("100 k sorted sets of 10", b"ZADD", 100_000, 10, 0.85),
    ("100 k lists of 10", b"RPUSH", 100_000, 10, 1.00),
)


def memory_of_collections(starters, generator, group):
    """RSS growth an element by collections with payloads of 10 bytes, on fresh servers, as a part of Redis's."""
    for name, command, collections, elements, limit in COLLECTIONS:

        def measure(server):
            touch(server, generator, LOAD_CORE)
            fills.use_buffers(server)
            before = server.rss_bytes()
            size = min(elements, 500)
            firsts = ((key, first) for key in range(collections) for first in range(0, elements, size))
            made = (fills.collection(command, fills.load_key(b"key:", key), size, first) for key, first in firsts)
            fills.write(server, made)
            time.sleep(SETTLE_S)
            return (server.rss_bytes() - before) / (collections * elements)

        values, failures = per_server(starters, measure)
        result = figure(group, f"memory, {name}", "bytes an element", values, failures, limit)
        ratio = values["skerry"] / values["redis"] if len(values) == 2 else None
        result["checks"] = [{"ratio_value": ratio, "limit": limit, "reached": ratio is not None and ratio <= limit}]
        yield result


def idle(starters, generator, seconds, group):
    """CPU of a server with 100 idle connections, and the memory of many idle ones."""
    many = 5000

    def measure(server):
        touch(server, generator, BOTH_CORES)
        clients = connect_idle(server, 100)
        time.sleep(SETTLE_S)
        cpu, began = server.cpu_s(), time.monotonic()
        time.sleep(seconds)
        busy = 100 * (server.cpu_s() - cpu) / (time.monotonic() - began)
        before = server.rss_bytes()
        clients += connect_idle(server, many)
        time.sleep(SETTLE_S)
        growth = server.rss_bytes() - before
        for client in clients:
            client.close()
        return busy, growth / many

    pairs, failures = per_server(starters, measure)
    busy, each = ({label: pair[index] for label, pair in pairs.items()} for index in (0, 1))
    yield figure(group, "CPU with 100 idle connections", "% of a core", busy, failures, 1)
    yield figure(group, f"RSS of {many} idle connections", "bytes a connection", each, failures, 8192)


def touch(server, generator, cores):
    """Lets the server use its network buffers once, so that they are part of its memory from then on."""
    generator.run(server, cores, load("ping", 16) + ["--seconds", "0.5"])


def connect_idle(server, count):
    """Connections that have asked one PING each, so that whatever a connection allocates at first use is there."""
    clients = [Client(server.port) for _ in range(count)]
    for client in clients:
        client.ask("PING")
    return clients


def load_many(starters, generator, keys, group):
    """Fills an empty server over one connection, then sets the same keys again: what only the first shows is the table's.

    The figure is 0 when no burst of 16 took above 1 ms, else how many inserts the server itself timed above 1 ms.
    """
    rows = {}

    def measure(server):
        server.ask("CONFIG", "SET", "slowlog-log-slower-than", 1000)
        slow = {}
        for phase in ("growing", "again"):
            server.ask("SLOWLOG", "RESET")
            report = generator.populate(server, LOAD_CORE, keys, 32, connections=1, pipeline=16)
            slow[phase] = server.ask("SLOWLOG", "LEN") if report["max_us"] > 1000 else 0
            rows[f"{server.label}, {phase}"] = {**medians([report]), "over_1ms": report["over_1ms"], "slow": slow[phase]}
        return slow["growing"]

    values, failures = per_server(starters, measure)
    note = "; ".join(f"{label}: longest burst {row['max_us']:,.0f} µs, {row['over_1ms'] // 16:,.0f} bursts and "
                     f"{row['slow']} inserts above 1 ms, {row['rps']:,.0f} a second" for label, row in rows.items())
    result = figure(group, f"loading {keys} keys: inserts above 1 ms", "inserts", values, failures, 0)
    return {**result, "note": note, "phases": rows}
