"""The cases, as data: who is measured, with what load, and which ratio must be reached."""

from dataclasses import dataclass, field

from . import fills

CPU, RPS, P50 = "server_cpu_us", "rps", "p50_us"


@dataclass
class Check:
    """`figure` of side `over` divided by that of side `under` must be at most (or at least) `limit`."""

    figure: str
    over: str
    under: str
    limit: float
    at_least: bool = False


@dataclass
class Side:
    """One row of the table: the server with that key, and the generator's options."""

    server: str
    options: list
    cluster: bool = False


@dataclass
class Case:
    """Sides that are measured in turn, and what their figures are checked for.

    `fill` makes, before each run, the data that the load asks for beside the keys of all cases.
    """

    name: str
    sides: dict
    checks: list = field(default_factory=list)
    fill: object = None


def load(command, pipeline, connections=50):
    return ["--command", command, "--pipeline", str(pipeline), "--connections", str(connections)]


def one_shard_cases():
    """Server on core 0, load on core 1."""
    cases = []

    def add(command, pipeline, limit=None):
        options = load(command, pipeline)
        sides = {"skerry": Side("skerry", options), "redis": Side("redis", options)}
        checks = [Check(CPU, "skerry", "redis", limit)] if limit else []
        cases.append(Case(f"{command.upper()} P={pipeline}", sides, checks))

    for command in ("ping", "get", "set"):
        add(command, 1, 1.05)
    for pipeline, limit in ((16, 0.45), (64, 0.25)):
        add("ping", pipeline)
        for command in ("get", "set"):
            add(command, pipeline, limit)
    for command in ("mget", "mset"):
        add(command, 16, 0.45)
    add("exec", 16)
    return cases


def data_type_cases():
    """Every data type, pipeline 16; cores as in the one-shard cases."""
    cases = []

    def add(name, command, limit, fill=None, keys=fills.COLLECTIONS, **more):
        more = [word for option, value in more.items() for word in (f"--{option}", str(value))]
        options = [*load(command, 16), "--keys", str(keys), "--value-size", str(fills.PAYLOAD), *more]
        sides = {"skerry": Side("skerry", options), "redis": Side("redis", options)}
        cases.append(Case(name, sides, [Check(CPU, "skerry", "redis", limit)], fill))

    fields = " ".join(f"field:{number} __data__" for number in range(10))
    add("INCR", "INCR counter:__rand__", 0.50, keys=fills.BIG)
    add("LPUSH", "LPUSH list __data__", 0.50, fills.empty(b"list"))
    add("RPOP", "RPOP list", 0.50, fills.queue(10_000_000))
    add("SADD", "SADD set __rand__", 0.50, fills.empty(b"set"), keys=1_000_000)
    add("HSET of 10 fields", f"HSET small:__rand__ {fields}", 0.50, keys=100_000)
    add("ZADD, 1 M members", "ZADD ranking __rand__ member:__rand__", 0.50, fills.ranking, keys=fills.BIG)
    add("ZRANK, 1 M members", "ZRANK ranking member:__rand__", 0.50, fills.ranking, keys=fills.BIG)
    add("LRANGE 100", "LRANGE list:__rand__ 0 99", 0.60, fills.small(b"RPUSH", b"list:", 100), elements=100)
    add("HGETALL of 50 fields", "HGETALL hash:__rand__", 0.60, fills.small(b"HSET", b"hash:", 50), elements=100)
    add("ZRANGE 100", "ZRANGE scores:__rand__ 0 99", 0.60, fills.small(b"ZADD", b"scores:", 100), elements=100)
    add("ZRANGE 100 of 1 M members", "ZRANGE ranking 500000 500099", 0.60, fills.ranking, elements=100)
    add("SMEMBERS 100", "SMEMBERS set:__rand__", 0.60, fills.small(b"SADD", b"set:", 100), elements=100)
    add("XADD", "XADD log * field __data__", 0.60, fills.empty(b"log"))
    group = {"seconds": 1, "warmup": 0.1, "elements": 1}
    add("XREADGROUP of 10", "XREADGROUP GROUP group reader COUNT 10 STREAMS log >", 0.60, fills.log(4_000_000), **group)
    add("PUBLISH to 50 subscribers", "PUBLISH channel __data__", 0.70, subscribers=50)
    return cases


def one_connection_cases():
    """One connection, pipeline 1, nothing else; cores as in the one-shard cases."""
    cases = []
    for command in ("get", "set"):
        options = load(command, 1, connections=1)
        sides = {"skerry": Side("skerry", options), "redis": Side("redis", options)}
        checks = [Check(RPS, "skerry", "redis", 0.95, at_least=True), Check(CPU, "skerry", "redis", 1.3)]
        cases.append(Case(f"{command.upper()} P=1, one connection", sides, checks))
    return cases


def two_shard_cases():
    """Servers and load share both cores."""
    cases = []
    for pipeline, limit in ((1, 1.10), (16, 1.25), (64, 1.40)):
        for command in ("get", "set"):
            options = load(command, pipeline)
            sides = {
                "two shards": Side("skerry 2", options),
                "two shards, cluster ports": Side("skerry 2", options, cluster=True),
                **beside(options),
                "redis cluster": Side("redis cluster", options, cluster=True),
            }
            checks = [Check(CPU, "two shards", "two shards, cluster ports", limit)]
            cases.append(Case(f"{command.upper()} P={pipeline}", sides, checks))
    for pipeline in (1, 16):
        for command in ("mget", "mset", "exec"):
            options = load(command, pipeline)
            sides = {"two shards": Side("skerry 2", options), **beside(options)}
            cases.append(Case(f"{command.upper()} P={pipeline}", sides, [Check(CPU, "two shards", "one shard", 2.5)]))
    return cases


def beside(options):
    return {"one shard": Side("skerry", options), "redis": Side("redis", options)}


def crossing_checks():
    """Of the case that asks one connection for keys here, there, and on both shards."""
    return [Check(P50, "GET there", "GET here", 1.15), Check(P50, "MSET over both", "GET here", 1.15)]
