"""Running the load generator, and medians of its figures."""

import json
import statistics
import subprocess

FIGURES = (
    "server_user_us", "server_system_us", "server_cpu_us", "load_cpu_us", "rps", "p50_us", "p99_us", "p999_us", "max_us",
)


class LoadError(Exception):
    """A load that did not run to its end, or that got wrong replies."""


class Generator:
    """The load generator with the options that all of its runs share."""

    def __init__(self, binary, seconds, warmup):
        self.binary = binary
        self.seconds = seconds
        self.warmup = warmup

    def run(self, server, cores, options, cluster=False):
        """One run against `server`; returns the report, with the shares of commands where the server tells them."""
        port = server.cluster_port if cluster else server.port
        command = ["taskset", "-c", cores, self.binary, "--port", str(port)]
        command += ["--server-pid", ",".join(map(str, server.pids()))]
        command += ["--seconds", str(self.seconds), "--warmup", str(self.warmup), *options]
        command += ["--cluster"] if cluster else []
        before = server.shard_shares()
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise LoadError(done.stderr.strip())
        report = json.loads(done.stdout)
        if report["errors"] or report["missing"]:
            raise LoadError(f"{report['errors']} errors, {report['missing']} missing: {report['first_error']}")
        if before is not None:
            report["shares"] = shares(before, server.shard_shares())
        return report

    def populate(self, server, cores, keys, value_size, cluster=False, connections=4, pipeline=64):
        """Sets every key once; returns the report."""
        options = ["--populate", "--keys", str(keys), "--value-size", str(value_size)]
        options += ["--connections", str(connections), "--pipeline", str(pipeline)]
        return self.run(server, cores, options, cluster)


def shares(before, after):
    """The fractions of commands that ran local, borrowed and by message between two readings."""
    counts = [late - early for early, late in zip(before, after)]
    return [count / max(sum(counts), 1) for count in counts]


def medians(reports):
    """The median of each figure over the runs, and the spread of the CPU figure (half of max - min, in parts of it)."""
    result = {figure: statistics.median(report[figure] for report in reports) for figure in FIGURES}
    cpu = [report["server_cpu_us"] for report in reports]
    result["cpu_spread"] = (max(cpu) - min(cpu)) / 2 / result["server_cpu_us"] if result["server_cpu_us"] else 0.0
    if all("shares" in report for report in reports):
        columns = zip(*(report["shares"] for report in reports))
        result["shares"] = [statistics.median(column) for column in columns]
    return result
