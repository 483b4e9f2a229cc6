#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Prints the results of one run as one table in Markdown: medians, the 99th
percentile, the ratio to the named peer of the row, and whether the goal is met.

usage: report.py RESULTS"""

import json
import math
import statistics
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field

GIB = 1 << 30
FEW = 100  # of fewer samples, a 99th percentile would be the worst one

Results = dict[str, dict]  # of one row, by contender


@dataclass
class Row:
    """A measurement, which the results call WHAT. The others of its contenders are
    compared with PEER; KIND says what their samples are."""
    what: str
    title: str
    kind: str
    peer: str
    goals: dict[str, list[tuple]] = field(default_factory=dict)


# A goal is what is looked at, whether it should be at most or at least, and the limit.
CALL_GOALS = {"conversation": [("ratio", "≤", 1.15)], "slot": [("ratio", "≤", 1.3)]}
AGENT_GOALS = [("times faster", "≥", 50), ("times faster at p99", "≥", 50),
               ("times faster than the best library", "≥", 20)]
ROWS = [
    Row("direct", "one call, direct: a static `cat`, 1 KiB", "call",
        "C: pipes, fork, exec", CALL_GOALS),
    Row("hook", "a process for each call: `hook local cat`, 1 KiB", "call", "C: pipes, fork, exec",
        {"hook": [("ms more", "≤", 1.0), ("of a client that speaks call", "≤", 1.3)]}),
    Row("hook far", "a process for each call, in a pod: `head -c 1024`, 1 KiB", "call", "kubectl exec -i",
        {"hook, agent": [("times faster", "≥", 40)]}),
    Row("kubectl", "one call, kubectl_exec: `head -c 1024`, 1 KiB", "call", "kubectl exec -i",
        {"conversation": [("ratio", "≤", 1.03)], "slot": [("ratio", "≤", 1.03)],
         "conversation, agent": AGENT_GOALS}),
    Row("docker", "one call, docker_exec: `cat`, 1 KiB", "call", "podman exec -i"),
    Row("standby cat", "a static `cat`, 1 KiB, direct, started before", "call", "C, started before",
        {"call, standby": [("ratio", "≤", 1.3), ("of C: pipes, fork, exec", "≤", 0.8)]}),
    Row("standby pii", "`python3 pii.py`, direct, started before", "call", "C, started before",
        {"call, standby": [("ratio", "≤", 1.3), ("of call, cold", "≤", 0.2)]}),
    Row("standby imports", "python with a second of imports, direct, started before", "call",
        "C, started before",
        {"call, standby": [("ratio", "≤", 1.3), ("of call, cold", "≤", 0.05)]}),
    Row("standby exits", "the same, which ends with os._exit", "call", "C, started before",
        {"call, standby": [("ratio", "≤", 1.3), ("of call, cold", "≤", 0.05)]}),
    Row("standby node", "node, direct, started before", "call", "C, started before",
        {"call, standby": [("ratio", "≤", 1.3)]}),
    Row("standby miss", "one call, direct, that finds no standby", "call", "call, without the key",
        {"call, a miss": [("ratio", "≤", 1.0)]}),
    Row("against", "one call, direct, and another build's", "call", "call, the other build",
        {"call, without the key": [("ratio", "≤", 1)], "call, a miss": [("ratio", "≤", 1)]}),
    Row("against caller", "the same with what confines the caller", "call", "call, the other build",
        {"call": [("ratio", "≤", 1)]}),
    Row("standby pod", "in a pod, by the agent: `cat`, 1 KiB", "call", "call, agent",
        {"call, agent, standby": [("ratio", "≤", 0.8)]}),
    Row("standby pod pii", "in a pod, by the agent: `pii.py`", "call", "call, direct, standby",
        {"call, agent, standby": [("ratio", "≤", 1.3)]}),
    Row("standby kubectl", "in a pod, by kubectl: `cat`, 1 KiB", "call", "kubectl exec -i",
        {"call, standby": [("times faster", "≥", 8)]}),
    Row("standby docker", "a container for each call: `cat`, 1 KiB", "call", "podman run --rm -i",
        {"call, agent, standby": [("times faster", "≥", 20)]}),
    Row("stream out", "stdout of 1 GiB, direct", "stream", "C: a pipe of 64 KiB",
        {"conversation": [("ratio", "≥", 0.7)]}),
    Row("stream in", "stdin of 1 GiB, direct", "stream", "C: a pipe of 64 KiB",
        {"conversation": [("ratio", "≥", 0.7)], "slot": [("ratio", "≥", 0.7)]}),
    Row("stream agent", "stdout of 1 GiB, kubectl_exec", "stream", "kubectl exec",
        {"conversation, agent": [("ratio", "≥", 0.8)]}),
    *(Row(f"rate {callers}", f"calls a second, direct: {callers} caller{'s' if callers > 1 else ''}", "rate",
          "C: pipes, fork, exec") for callers in (1, 8, 64)),
    Row("rate agent 64", "calls a second, kubectl_exec: 64 callers", "rate", "",
        {"conversation, agent": [("rate", "≥", 500)]}),
    Row("memory daemon", "memory of the daemon", "memory", "",
        {"at the start": [("MiB", "<", 3)]}),
    Row("memory agent", "memory of the agents in the container, without the jobs'", "memory", ""),
]
LIBRARIES = "library"
COMPARE = {"≤": lambda value, limit: value <= limit, "≥": lambda value, limit: value >= limit,
           "<": lambda value, limit: value < limit}


def significant(value: float) -> str:
    """Three digits, and no exponent."""
    digits = 2 - math.floor(math.log10(value)) if value > 0 else 2
    return f"{value:.{min(max(digits, 0), 3)}f}"


def percentile_99(samples: list[float]) -> float:
    return sorted(samples)[math.ceil(len(samples) * 0.99) - 1]


def half_width(samples: list[float]) -> float:
    """Of the 95 % interval of the median, by ranks, as a part of the median."""
    ordered, reach = sorted(samples), 0.98 * math.sqrt(len(samples))
    middle = (len(ordered) - 1) / 2
    low = ordered[max(0, math.floor(middle - reach))]
    high = ordered[min(len(ordered) - 1, math.ceil(middle + reach))]
    return (high - low) / 2 / statistics.median(ordered)


def main_samples(result: dict) -> list[float]:
    return result["rate"] if "rate" in result else result["ns"]


def ratio_to(peer: dict, result: dict, kind: str) -> tuple[float, float]:
    """How the medians compare, and how much of that is chance. For rates, of
    streams too, more is better, and so is a greater ratio."""
    ours, theirs = main_samples(result), main_samples(peer)
    ratio = statistics.median(ours) / statistics.median(theirs)
    return (1 / ratio if kind == "stream" else ratio,
            math.hypot(half_width(ours), half_width(theirs)))


def looked_at(name: str, row: Row, contender: str, results: Results) -> float | None:
    """The number that a goal is about; None if the row that it is compared with is missing."""
    result = results[contender]
    if name == "rate":
        return statistics.median(result["rate"])
    if name == "MiB":
        return result["kib"] / 1024
    if name.startswith("of "):
        other = results.get(name.removeprefix("of "))
        return other and statistics.median(result["ns"]) / statistics.median(other["ns"])
    if name == "ms more":
        ours, theirs = (statistics.median(results[other]["ns"]) for other in (contender, row.peer))
        return (ours - theirs) / 1e6
    if name == "ratio":
        return ratio_to(results[row.peer], result, row.kind)[0]
    if name == "times faster at p99":
        return percentile_99(results[row.peer]["ns"]) / percentile_99(result["ns"])
    others = [statistics.median(results[other]["ns"]) for other in results
              if (other == row.peer if name == "times faster" else LIBRARIES in other)]
    return min(others) / statistics.median(result["ns"]) if others else None


def chance_of(row: Row, contender: str, results: Results) -> float:
    ratio, chance = ratio_to(results[row.peer], results[contender], row.kind)
    return ratio * chance


def verdicts(row: Row, contender: str, results: Results) -> str:
    texts = []
    for name, comparison, limit in row.goals.get(contender, []):
        value = looked_at(name, row, contender, results)
        if value is None:
            continue
        met = "met" if COMPARE[comparison](value, limit) else "**not met**"
        if name == "ratio" and abs(value - limit) < chance_of(row, contender, results):
            met += ", within chance"
        if name in ("ratio", "rate", "MiB"):
            texts.append(f"{comparison} {limit}{' MiB' if name == 'MiB' else ''}: {met}")
        else:
            texts.append(f"{comparison} {limit} {name}: {significant(value)}, {met}")
    return "; ".join(texts)


def milliseconds(ns: float) -> str:
    return f"{significant(ns / 1e6)} ms"


def measured(kind: str, result: dict) -> tuple[str, str, str]:
    """How often, the median, and the 99th percentile, as text."""
    if kind == "memory":
        kib = result["kib"]
        return "", f"{significant(kib / 1024)} MiB" if kib >= 1024 else f"{significant(kib)} KiB", ""
    if kind == "rate":
        return (str(len(result["rate"])), f"{statistics.median(result['rate']):.0f} /s",
                milliseconds(statistics.median(result["p99_ns"])))
    median = statistics.median(result["ns"])
    count = len(result["ns"])
    if kind == "stream":
        return str(count), f"{significant(1e9 / median)} GiB/s", ""
    p99 = milliseconds(percentile_99(result["ns"])) if count >= FEW else ""
    return str(count), milliseconds(median), p99


def label(contender: str, result: dict) -> str:
    if "busy" not in result:
        return contender
    notes = [f"{statistics.median(result['busy']):.1f} processors busy"]
    if max(result["daemon_share"]) > 0:
        notes.append(f"{statistics.median(result['daemon_share']) * 100:.0f} % of it the daemon")
    return f"{contender} ({', '.join(notes)})"


def lines_of(row: Row, results: Results) -> Iterator[str]:
    title = row.title
    for contender, result in results.items():
        ratio = ""
        if contender == row.peer:
            ratio = "1"
        elif row.peer in results:
            value, chance = ratio_to(results[row.peer], result, row.kind)
            ratio = f"{value:.3f} ± {value * chance:.3f}"
        cells = [title, label(contender, result), *measured(row.kind, result), ratio,
                 verdicts(row, contender, results)]
        yield f"| {' | '.join(cells)} |"
        title = ""


def main() -> None:
    found: dict[str, Results] = {}
    with open(sys.argv[1]) as file:
        for line in file:
            result = json.loads(line)
            found.setdefault(result["what"], {})[result["contender"]] = result
    print("| what | contender | samples | median | p99 | ratio | goal |")
    print("| --- | --- | ---: | ---: | ---: | ---: | --- |")
    for row in ROWS:
        for line in lines_of(row, found.get(row.what, {})):
            print(line)


main()
