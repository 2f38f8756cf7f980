"""The table that the benchmark prints."""

from collections.abc import Iterable
from typing import Any

from tests.benchmarks.lineup import SYSTEMS

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
COLUMNS = {
    "throughput": ("tasks/s", "{:,.0f}"),
    "send_single": ("send/s", "{:,.0f}"),
    "send_bulk": ("bulk/s", "{:,.0f}"),
    "latency_p50": ("p50 ms", "{:.2f}"),
    "latency_p99": ("p99 ms", "{:.2f}"),
    "idle_cpu": ("idle %", "{:.2f}"),
    "memory": ("MB", "{:.0f}"),
    "start": ("start s", "{:.2f}"),
}


def table(figures: dict[str, dict[str, float]]) -> str:
    """Lay out one row per system, with its throughput as a part of the first one's."""
    best = figures[SYSTEMS[0].module]["throughput"]
    rows = [["system", *(title for title, _ in COLUMNS.values()), "ours is"]]
    for system in SYSTEMS:
        measured = figures[system.module]
        cells = [form.format(measured[name]) for name, (_, form) in COLUMNS.items()]
        rows.append([system.title, *cells, f"{best / (measured['throughput'] or 1):.1f} x"])
    return _aligned(rows)


def goals(ratios: dict[str, dict[str, Any]]) -> str:
    """Lay out what was reached beside what was to be reached."""
    rows = [["figure", "is", "goal", ""]]
    for name, figure in ratios.items():
        is_least = "at_least" in figure
        goal = figure["at_least"] if is_least else figure["at_most"]
        reached = figure["is"] >= goal if is_least else figure["is"] <= goal
        rows.append(
            [name, f"{figure['is']:,.2f}", f"{'>=' if is_least else '<='} {goal:,}", "" if reached else "MISSED"]
        )
    return _aligned(rows)


def growth(figures: dict[str, dict[str, dict[int, float]]]) -> str:
    """Lay out throughput by what grew."""
    rows = [["tasks/s by", "system", *([""] * 4)]]
    for kind, systems in figures.items():
        for title, points in systems.items():
            cells = [f"{size:,}: {rate:,.0f}" for size, rate in points.items()]
            rows.append([kind, title, *cells, *([""] * (4 - len(cells)))])
    return _aligned(rows)


def renew(document: str, text: str) -> str:
    """Put the text between a document's two marks."""
    before, _, rest = document.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n```text\n{text.strip()}\n```\n{END}{after}"


def _aligned(rows: Iterable[list[str]]) -> str:
    rows = list(rows)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)
