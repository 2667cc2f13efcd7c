#!/usr/bin/env python3
"""A replica that only reads: takes the snapshot, acknowledges what comes behind it every second, and keeps nothing.

Prints how many seconds passed between PSYNC and the end of the snapshot, and its bytes.
"""

import socket
import sys
import time

CHUNK = 1 << 20


class Sink:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.buffer = b""

    def line(self):
        while b"\n" not in self.buffer:
            self.buffer += self.socket.recv(CHUNK)
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.strip()

    def say(self, *words):
        self.socket.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words))

    def ask(self, *words):
        self.say(*words)
        return self.line()

    def take_snapshot(self):
        """Reads the snapshot; returns its size and the offset behind it."""
        self.ask(b"REPLCONF", b"listening-port", b"1")
        self.ask(b"REPLCONF", b"capa", b"eof", b"capa", b"psync2")
        offset = int(self.ask(b"PSYNC", b"?", b"-1").split()[2])
        head = b""
        while not head:
            head = self.line()
        if head.startswith(b"$EOF:"):
            return self.take_to_mark(head[5:]), offset
        left = size = int(head[1:])
        left -= len(self.buffer)
        self.buffer = self.buffer[size:] if left < 0 else b""
        while left > 0:
            left -= len(self.socket.recv(min(left, CHUNK)))
        return size, offset

    def take_to_mark(self, mark):
        size, tail = len(self.buffer), self.buffer[-len(mark):]
        while tail != mark:
            chunk = self.socket.recv(CHUNK)
            if not chunk:
                raise SystemExit("the master hung up")
            size += len(chunk)
            tail = (tail + chunk)[-len(mark):]
        self.buffer = b""
        return size - len(mark)

    def follow(self, offset):
        """Reads the stream for ever."""
        offset += len(self.buffer)
        self.socket.settimeout(0.5)
        into = bytearray(CHUNK)
        acknowledged = 0.0
        while True:
            if time.monotonic() - acknowledged >= 1:
                self.say(b"REPLCONF", b"ACK", b"%d" % offset)
                acknowledged = time.monotonic()
            try:
                count = self.socket.recv_into(into)
            except TimeoutError:
                continue
            if count == 0:
                return
            offset += count


if __name__ == "__main__":
    sink = Sink(int(sys.argv[1]))
    began = time.monotonic()
    size, at = sink.take_snapshot()
    print(f"{time.monotonic() - began:.3f} {size}", flush=True)
    sink.follow(at)
