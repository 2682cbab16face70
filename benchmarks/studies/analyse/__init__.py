"""How principal directions of roll-outs lie to the top eigenspace of the Hessian, with several optimizers inside."""

from benchmarks.studies.analyse.look import INNERS, Look, analyse
from benchmarks.studies.analyse.recorded import recorded
from benchmarks.studies.analyse.tables import draw, table

__all__ = ["INNERS", "Look", "analyse", "draw", "recorded", "table"]
