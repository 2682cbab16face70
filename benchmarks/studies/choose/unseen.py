"""Plugin of the study: registers, for every data set and each of its domains, the set whose domain nobody looks at."""

from benchmarks.base.names import DATASETS
from benchmarks.studies.choose.halves import register

for _name in DATASETS:
    register(_name)
