"""How principal directions of roll-outs lie to the top eigenspace of the Hessian, with several optimizers inside."""

from benchmarks.studies.analyse.begin import INNERS
from benchmarks.studies.analyse.look import Look, analyse
from benchmarks.studies.analyse.recorded import recorded
from benchmarks.studies.analyse.smooth import AGGREGATIONS, Curve, curve, smooth
from benchmarks.studies.analyse.tables import draw, table

__all__ = ["AGGREGATIONS", "INNERS", "Curve", "Look", "analyse", "curve", "draw", "recorded", "smooth", "table"]
