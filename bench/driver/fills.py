"""What the cases on data types find in the server. Each fill makes the same data again, whatever a run left there."""

import random

from .servers import encoded

PAYLOAD = 10
COLLECTIONS = 1000
BIG = 1_000_000
SEED = 1
BATCH_BYTES = 64 * 1024


def text(number):
    """Ten bytes that differ for every number below a thousand million."""
    return b"%0*d" % (PAYLOAD, number)


def load_key(prefix, number):
    """The key that the load generator makes of `prefix__rand__`."""
    return b"%s%012d" % (prefix, number)


def write(server, requests):
    """Sends requests, some at a time, so that what a server sets aside for them is small beside the data; all must be answered
    without error."""
    with server.client() as client:
        batch, size = [], 0
        for request in requests:
            batch.append(request)
            size += len(request)
            if size >= BATCH_BYTES:
                client.ask_all(batch)
                batch, size = [], 0
        client.ask_all(batch)


def use_buffers(server):
    """Lets a server touch all the memory that it keeps for input, so that no growth later on is due to that."""
    write(server, [encoded(b"PING", b"x" * 1000)] * 40_000)


def chunks(elements, size=500):
    elements = list(elements)
    return (elements[first:first + size] for first in range(0, len(elements), size))


def queue(elements):
    """One list of so many elements."""

    def fill(server):
        push = encoded(b"LPUSH", b"list", *(text(number) for number in range(1000)))
        write(server, [encoded(b"DEL", b"list"), *[push] * (elements // 1000)])

    return fill


def empty(key):
    def fill(server):
        write(server, [encoded(b"DEL", key)])

    return fill


def ranking(server):
    """One sorted set of a million members with random scores: made once, as ZADD of them leaves their number as it is."""
    if server.ask("ZCARD", "ranking") == BIG:
        return
    draw = random.Random(SEED)
    pairs = [(b"%d" % draw.randrange(10**12), load_key(b"member:", number)) for number in range(BIG)]
    write(server, (encoded(b"ZADD", b"ranking", *sum(some, ())) for some in chunks(pairs)))


def small(command, prefix, elements):
    """A thousand collections of so many elements."""

    def fill(server):
        write(server, (collection(command, load_key(prefix, number), elements) for number in range(COLLECTIONS)))

    return fill


def collection(command, key, elements, first=0):
    """The request that makes one collection of elements with payloads of ten bytes."""
    numbers = range(first, first + elements)
    words = {
        b"RPUSH": lambda: [text(number) for number in numbers],
        b"SADD": lambda: [b"m" + text(number)[1:] for number in numbers],
        b"HSET": lambda: [word for number in numbers for word in (b"f" + text(number)[1:], text(number))],
        b"ZADD": lambda: [word for number in numbers for word in (b"%d" % (number * 7919 % BIG), b"m" + text(number)[1:])],
    }
    return encoded(command, key, *words[command]())


def log(entries):
    """A stream with a group that has read none of so many entries."""

    def fill(server):
        add = encoded(b"XADD", b"log", b"*", b"field", text(1))
        group = encoded(b"XGROUP", b"CREATE", b"log", b"group", b"0")
        write(server, [encoded(b"DEL", b"log"), *[add] * entries, group])

    return fill
