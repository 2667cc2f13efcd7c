"""The table of results, as Markdown, and the JSON beside it."""

import datetime
import json
import os
import platform
import re
import subprocess

COLUMNS = ("case", "server", "user", "system", "CPU", "±%", "requests/s", "p50", "p99", "p99.9", "load", "local/borrowed/sent", "ratio")
UNIT_NAMES = {"server_cpu_us": "CPU", "rps": "requests/s", "p50_us": "p50"}


def machine(root, versions):
    """Where and with what the figures were taken."""
    with open("/proc/cpuinfo") as cpuinfo:
        model = re.search(r"model name\s*:\s*(.+)", cpuinfo.read())
    commit = subprocess.run(["git", "-C", root, "describe", "--always", "--dirty"], capture_output=True, text=True)
    return {
        "date": datetime.datetime.now().isoformat(timespec="seconds"),
        "cpu": model[1] if model else platform.machine(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "commit": commit.stdout.strip(),
        "load_average_at_start": os.getloadavg()[0],
        **versions,
    }


class Table:
    """Prints results as they come: a table for each group, a line for each figure that is no load."""

    def __init__(self):
        self.group = None
        self.kind = None

    def add(self, result):
        kind = "values" if "values" in result else "sides"
        if (result["group"], kind) != (self.group, self.kind):
            self.group, self.kind = result["group"], kind
            self.head()
        for line in side_lines(result) if kind == "sides" else [value_line(result)]:
            print(line)
        for side, reason in result["failures"].items():
            print(row([result["case"], side, "failed: " + reason.partition("\n")[0]]))
        if "note" in result:
            print(f"\n{result['note']}")
        print(end="", flush=True)

    def head(self):
        print(f"\n### {self.group}\n")
        columns = COLUMNS if self.kind == "sides" else ("case", "skerry", "redis", "unit", "target")
        print(row(columns))
        print(row(["---"] * len(columns)))


def row(cells):
    return "| " + " | ".join(cells) + " |"


def side_lines(result):
    for side, figures in result["sides"].items():
        shares = figures.get("shares")
        verdicts = [ratio_text(check) for check in result["checks"] if check.get("side") == side]
        yield row([
            result["case"], side,
            *(f"{figures[name]:.2f}" for name in ("server_user_us", "server_system_us", "server_cpu_us")),
            f"{100 * figures['cpu_spread']:.0f}",
            f"{figures['rps']:,.0f}",
            *(f"{figures[name]:,.0f}" for name in ("p50_us", "p99_us", "p999_us")),
            f"{figures['load_cpu_us']:.2f}",
            "/".join(f"{100 * share:.0f}" for share in shares) if shares else "",
            "; ".join(verdicts),
        ])


def ratio_text(check):
    name = UNIT_NAMES[check["figure"]]
    if check["ratio"] is None:
        return f"{name}: no ratio, **missed**"
    sign = "≥" if check["at_least"] else "≤"
    return f"{name} {check['ratio']:.2f} {sign} {check['limit']:.2f} {verdict(check)}"


def value_line(result):
    values = [f"{result['values'][label]:,.1f}" if label in result["values"] else "" for label in ("skerry", "redis")]
    targets = [target_text(check) for check in result["checks"]]
    return row([result["case"], *values, result["unit"], "; ".join(targets)])


def target_text(check):
    ratio = check.get("ratio_value")
    return f"{f'{ratio:.2f} ' if ratio else ''}≤ {check['limit']:g} {verdict(check)}"


def verdict(check):
    return "reached" if check["reached"] else "**missed**"


def summary(results):
    """One line: how many targets were reached, and the cases that missed one."""
    checks = [(result, check) for result in results for check in result["checks"]]
    missed = [f"{result['group']}: {result['case']}" for result, check in checks if not check["reached"]]
    text = f"{len(checks) - len(missed)} of {len(checks)} targets reached"
    return text + ("; missed: " + ", ".join(dict.fromkeys(missed)) if missed else "")


def store(path, facts, options, results):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as out:
        json.dump({"machine": facts, "options": options, "results": results}, out, indent=1)
        out.write("\n")
