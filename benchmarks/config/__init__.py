"""Typed configurations: of one run, of a sweep, of the launcher.

All are frozen pydantic models that refuse unknown names; a run's is content-hashed.  `files` reads a sweep from YAML or
TOML and says which word is wrong, and where.
"""

from __future__ import annotations

from benchmarks.config.files import ConfigError, read, validated
from benchmarks.config.launcher import KINDS, InProcess, LauncherConfig, Local, Ray, Slurm
from benchmarks.config.run import RunConfig, Settings
from benchmarks.config.sweep import Outputs, Overrides, SweepConfig

__all__ = [
    "KINDS",
    "ConfigError",
    "InProcess",
    "LauncherConfig",
    "Local",
    "Outputs",
    "Overrides",
    "Ray",
    "RunConfig",
    "Settings",
    "Slurm",
    "SweepConfig",
    "read",
    "validated",
]
