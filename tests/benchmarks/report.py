"""The tables that the benchmark prints."""

from collections.abc import Iterable
from typing import Any

from tests.benchmarks.lineup import OURS, SYSTEMS

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
#: A reason why something was not measured takes so many characters at most.
_REASON = 200


def table(figures: dict[str, dict[str, float]], failed: dict[str, str]) -> str:
    """Lay out one row per system, with its throughput as a part of our fast lane's, and who has none and why."""
    best = figures.get(OURS.key, {}).get("throughput", 0.0)
    rows = [["system", *(title for title, _ in COLUMNS.values()), "ours is"]]
    for system in SYSTEMS:
        if measured := figures.get(system.key):
            cells = [form.format(measured[name]) for name, (_, form) in COLUMNS.items()]
            rows.append([system.title, *cells, f"{best / (measured['throughput'] or 1):.1f} x"])
    titles = {system.key: system.title for system in SYSTEMS}
    return "\n".join(
        [aligned(rows), *(f"{titles[key]}: not measured: {_last_line(reason)}" for key, reason in failed.items())]
    )


def goals(checked: list[dict[str, Any]]) -> str:
    """Lay out what was reached beside what was to be reached."""
    rows = [["figure", "is", "goal", "which is", ""]]
    for goal in checked:
        if "is" in goal:
            sign = "<=" if goal["at_most"] else ">="
            numbers = [_number(goal["is"]), f"{sign} {_number(goal['goal'])}", goal["rule"]]
        else:
            numbers = ["", "", ""]
        rows.append([goal["figure"], *numbers, goal["verdict"]])
    return aligned(rows)


def growth(figures: dict[str, dict[str, dict[int, float]]]) -> str:
    """Lay out throughput by what grew."""
    rows = [["tasks/s by", "system", *([""] * 4)]]
    for kind, systems in figures.items():
        for title, points in systems.items():
            cells = [f"{size:,}: {rate:,.0f}" for size, rate in points.items()]
            rows.append([kind, title, *cells, *([""] * (4 - len(cells)))])
    return aligned(rows)


def measure(name: str, figures: dict[str, Any]) -> str:
    """Lay out the figures of one measure, one a line."""
    rows = [[name, ""], *([f"  {label}", _value(value)] for label, value in figures.items())]
    return aligned(rows)


def renew(document: str, text: str) -> str:
    """Put the text between a document's two marks."""
    before, _, rest = document.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n```text\n{text.strip()}\n```\n{END}{after}"


def aligned(rows: Iterable[list[str]]) -> str:
    """Lay out rows in columns."""
    rows = list(rows)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)


def _last_line(text: str) -> str:
    """Give the last line, which is where an error is named."""
    return text.strip().rpartition("\n")[2][-_REASON:]


def _value(value: Any) -> str:
    return _number(value) if isinstance(value, int | float) else _last_line(str(value))


def _number(value: float) -> str:
    return f"{value:,.2f}" if abs(value) < 100 and value != int(value) else f"{value:,.0f}"
