"""How a cluster stands, as a chart: power and processors up to now, and the jobs that wait."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.datasets.decisions.drawing import Picture, drawn
from benchmarks.datasets.decisions.job_workloads import DAY, HOUR, PROCESSORS

if TYPE_CHECKING:
    from benchmarks.datasets.decisions.job_cluster import Cluster

GREEN, ON_GREEN, ON_OTHER, ASKED = "#cdebc5", "#2f8f46", "#8c5a2b", "#4c72b0"
SIZE = (8.0, 2.6)
"""Inches of 100 pixels."""

SHOWN = 8


def chart(cluster: Cluster) -> Picture:
    """The time up to now from left to right; of the sky to come it shows as little as the player sees."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE, dpi=100)
    _power(figure.add_axes((0.055, 0.09, 0.69, 0.8)), cluster)
    _waiting(figure.add_axes((0.77, 0.09, 0.22, 0.8)), cluster)
    return drawn(figure)


def _power(axes: Any, cluster: Cluster) -> None:
    past = np.array(cluster.history, dtype=float).reshape(-1, 2)
    busy, green = past[:, 0], past[:, 1].clip(max=1.25 * PROCESSORS)
    hours = np.arange(len(past) + 1) / HOUR

    def steps(low: Any, high: Any, colour: str, label: str) -> None:
        both = [np.append(each, each[-1:]) if len(past) else np.zeros(1) for each in (low, high)]
        axes.fill_between(hours, *both, step="post", color=colour, label=label, linewidth=0)

    steps(np.zeros(len(past)), green, GREEN, "green power")
    steps(np.zeros(len(past)), np.minimum(busy, green), ON_GREEN, "busy on green power")
    steps(np.minimum(busy, green), busy, ON_OTHER, "busy on other power")
    last = max(DAY, cluster.time) / HOUR
    axes.axhline(PROCESSORS, color="0.6", linewidth=0.8, linestyle=":")
    axes.axvline(cluster.time / HOUR, color="0.2", linewidth=0.8)
    axes.set_xlim(0, last)
    axes.set_ylim(0, 1.25 * PROCESSORS)
    ticks = np.arange(0, last + 1, 6)
    axes.set_xticks(ticks, [f"{(cluster.start // HOUR + int(hour)) % 24:02d}:00" for hour in ticks], fontsize=7)
    axes.tick_params(axis="y", labelsize=7)
    axes.set_ylabel("processors", fontsize=7)
    axes.legend(fontsize=6, loc="upper right", ncols=3, frameon=False, borderaxespad=0.1)
    clock = (cluster.start + cluster.time) % DAY
    axes.set_title(
        f"{clock // HOUR:02d}:{clock % HOUR}0   gained {cluster.outcome():+.2f} of all work", fontsize=8, loc="left"
    )


def _waiting(axes: Any, cluster: Cluster) -> None:
    jobs = cluster.queue[:SHOWN]
    places = np.arange(len(jobs))
    axes.barh(places, [job.requested / HOUR for job in jobs], color=ASKED, height=0.7)
    for place, job in zip(places, jobs, strict=True):
        axes.text(0.2, place, f"{job.processors}", va="center", fontsize=7, color="black", fontweight="bold")
    axes.set_xlim(0, 16)
    axes.set_ylim(SHOWN - 0.5, -0.5)
    axes.set_yticks([])
    axes.tick_params(axis="x", labelsize=7)
    more = f" ({len(cluster.queue) - SHOWN} more)" if len(cluster.queue) > SHOWN else ""
    axes.set_title(f"waiting, hours asked for{more}", fontsize=7, loc="left")
