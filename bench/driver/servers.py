"""Starting and stopping the servers, asking them things, and reading what the kernel knows of them."""

import os
import re
import shutil
import socket
import subprocess
import tempfile
import time

START_TIMEOUT_S = 20
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class ServerError(Exception):
    """A server that did not start, or a reply that was an error."""


def encoded(*words):
    """A request of these byte strings."""
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


class Client:
    """One blocking connection that speaks RESP2."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.input = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.input.close()
        self.socket.close()

    def ask(self, *words):
        """Sends one command and returns its reply; an error reply is raised."""
        self.socket.sendall(encoded(*(str(word).encode() for word in words)))
        return self.reply()

    def ask_all(self, requests):
        """Sends requests at once and reads as many replies; an error reply is raised."""
        self.socket.sendall(b"".join(requests))
        for _ in requests:
            self.reply()

    def reply(self):
        line = self.input.readline().decode(errors="replace").strip()
        kind, rest = line[:1], line[1:]
        if kind == "+":
            return rest
        if kind == ":":
            return int(rest)
        if kind == "$":
            return None if rest == "-1" else self.input.read(int(rest) + 2)[:-2].decode(errors="replace")
        if kind == "*":
            return None if rest == "-1" else [self.reply() for _ in range(int(rest))]
        raise ServerError(rest or "the connection was closed")


def free_ports(count):
    """The first of `count` consecutive ports that are free, low enough for a cluster bus port above them."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            first = probe.getsockname()[1]
        if first + count < 65536 and all(is_free(port) for port in range(first, first + count)):
            return first


def is_free(port):
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


class Process:
    """A server process pinned to `cores`, in a directory of its own."""

    def __init__(self, command, port, cores):
        self.port = port
        self.directory = tempfile.mkdtemp(prefix="skerry-bench-")
        log = open(os.path.join(self.directory, "log"), "wb")
        pinned = ["taskset", "-c", cores, *command]
        self.process = subprocess.Popen(
            pinned, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=self.directory
        )
        log.close()
        try:
            self.await_start(command)
        except BaseException:
            self.stop()
            raise

    def await_start(self, command):
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                with Client(self.port) as client:
                    if client.ask("PING") == "PONG":
                        return
            except (OSError, ServerError):
                pass
            time.sleep(0.05)
        with open(os.path.join(self.directory, "log"), errors="replace") as log:
            raise ServerError(f"{' '.join(command)} does not answer:\n{log.read()[-2000:]}")

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def rss_bytes(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            return int(re.search(r"VmRSS:\s+(\d+) kB", status.read())[1]) * 1024

    def cpu_s(self):
        with open(f"/proc/{self.process.pid}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


class Server:
    """What a case measures: one process or a few that belong together, and how the load generator reaches them.

    `cluster_port` is set where a cluster client may ask for the owners of slots.
    """

    def __init__(self, label, processes, cluster_port=None):
        self.label = label
        self.processes = processes
        self.port = processes[0].port
        self.cluster_port = cluster_port

    def pids(self):
        return [process.process.pid for process in self.processes]

    def rss_bytes(self):
        return sum(process.rss_bytes() for process in self.processes)

    def cpu_s(self):
        return sum(process.cpu_s() for process in self.processes)

    def client(self):
        return Client(self.port)

    def ask(self, *words):
        with self.client() as client:
            return client.ask(*words)

    def shard_shares(self):
        """How many commands ran local, borrowed and sent so far, from INFO's section on shards; None without it."""
        lines = [line for line in self.ask("INFO", "shards").splitlines() if re.match(r"shard\d+:", line)]
        fields = [dict(pair.split("=", 1) for pair in line.split(":", 1)[1].split(",")) for line in lines]
        names = ("commands_local", "commands_borrowed", "commands_sent")
        if not fields or any(name not in shard for shard in fields for name in names):
            return None
        return [sum(int(shard[name]) for shard in fields) for name in names]

    def stop(self):
        for process in self.processes:
            process.stop()


def start_redis(cores):
    port = free_ports(1)
    return Server("redis", [redis_process(port, cores)])


def redis_process(port, cores, *options):
    command = ["redis-server", "--port", str(port), "--save", "", "--appendonly", "no", *options]
    return Process(command, port, cores)


def start_redis_cluster(cores):
    """Two nodes, each with half of the slots."""
    processes = []
    try:
        for _ in range(2):
            port, bus_port = free_ports(1), free_ports(1)
            options = ["--cluster-enabled", "yes", "--cluster-port", str(bus_port)]
            processes.append(redis_process(port, cores, *options))
            with Client(port) as client:
                client.ask("CLUSTER", "SET-CONFIG-EPOCH", len(processes))
                low = 8192 * (len(processes) - 1)
                client.ask("CLUSTER", "ADDSLOTSRANGE", low, low + 8191)
        with Client(processes[0].port) as client:
            client.ask("CLUSTER", "MEET", "127.0.0.1", processes[1].port, bus_port)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not all(knows_whole_cluster(process.port) for process in processes):
            if time.monotonic() > deadline:
                raise ServerError("the two nodes of the Redis cluster do not find each other")
            time.sleep(0.1)
    except BaseException:
        for process in processes:
            process.stop()
        raise
    return Server("redis cluster", processes, processes[0].port)


def knows_whole_cluster(port):
    with Client(port) as client:
        slots = client.ask("CLUSTER", "SLOTS")
        return "cluster_state:ok" in client.ask("CLUSTER", "INFO") and len(slots) == 2


class SkerryStarter:
    """Starts a Skerry binary, or for a dry run any other server that speaks the protocol in its place."""

    def __init__(self, binary):
        self.binary = binary
        version = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True)
        self.is_redis = version.stdout.startswith("Redis")
        self.version = version.stdout.strip()

    def start(self, cores, shards):
        port, cluster_port = free_ports(1), free_ports(shards)
        command = [self.binary, "--port", str(port), "--save", ""]
        if not self.is_redis:
            command += ["--shards", str(shards)]
            if shards > 1:
                command += ["--cluster-ports", str(cluster_port)]
        label = "skerry" if shards == 1 else f"skerry, {shards} shards"
        return Server(label, [Process(command, port, cores)], cluster_port if shards > 1 else None)
