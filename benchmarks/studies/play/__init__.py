"""A stored model plays: what it reaches in the simulator, beside the teacher, chance and whoever made the log."""

from __future__ import annotations

from benchmarks.studies.play.episodes import Played, play_model, play_policy
from benchmarks.studies.play.rendering import ENDINGS, rendered, write
from benchmarks.studies.play.stored import Stored, load
from benchmarks.studies.play.table import rows

__all__ = ["ENDINGS", "Played", "Stored", "load", "play_model", "play_policy", "rendered", "rows", "write"]
