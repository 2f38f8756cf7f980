"""The pictures of docs/performance.md, drawn in the peers' virtual environment, which has matplotlib.

``python -m tests.benchmarks.plots <figures.json> <directory>``
"""

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt

mpl.use("svg")
mpl.rcParams.update({"svg.hashsalt": "bench", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
OURS, OTHERS = "#1f6feb", "#9aa4b2"


def bars(report: dict[str, Any], name: str, title: str, directory: Path, *, file: str) -> None:
    """Draw one figure of all systems, the largest on top."""
    systems = sorted(report["systems"].items(), key=lambda item: float(item[1][name]))
    if not systems:
        return
    titles = [report["titles"][module] for module, _ in systems]
    values = [measured[name] for _, measured in systems]
    colors = [OURS if module.startswith("ours") else OTHERS for module, _ in systems]
    figure, axes = plt.subplots(figsize=(7, 0.8 + 0.25 * len(systems)))
    axes.bar_label(axes.barh(titles, values, color=colors), fmt="{:,.4g}", padding=3)
    axes.set_xscale("log")
    axes.set_title(title, loc="left")
    save(figure, directory / file)


def lines(points: dict[str, dict[str, float]], title: str, label: str, directory: Path, *, file: str) -> None:
    """Draw throughput over what grew."""
    figure, axes = plt.subplots(figsize=(7, 3))
    for system, measured in points.items():
        axes.plot([int(size) for size in measured], list(measured.values()), marker="o", label=system)
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xlabel(label)
    axes.set_ylabel("tasks per second")
    axes.set_title(title, loc="left")
    axes.legend(frameon=False)
    save(figure, directory / file)


def save(figure: Any, path: Path) -> None:
    """Write a picture without a date, so that it changes only with the figures."""
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def draw(report: dict[str, Any], directory: Path) -> None:
    """Draw all pictures."""
    directory.mkdir(parents=True, exist_ok=True)
    bars(report, "throughput", "No-op tasks per second, two processes on two cores", directory, file="throughput.svg")
    bars(report, "latency_p50", "Median milliseconds from send to start, idle workers", directory, file="latency.svg")
    bars(report, "send_single", "Messages sent per second, one by one", directory, file="single.svg")
    bars(report, "send_bulk", "Messages sent per second in bulk", directory, file="send.svg")
    labels = {"backlog": "waiting messages", "payload": "bytes per message", "processes": "worker processes"}
    for kind, points in report["growth"].items():
        lines(points, f"Throughput by {kind}", labels[kind], directory, file=f"{kind}.svg")


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
