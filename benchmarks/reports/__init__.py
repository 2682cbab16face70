"""The report of a comparison: one page, and its tables, from the records of runs.

- ``load``: where records come from;
- ``selection``: what is compared with what, and the matrices of scores;
- ``compared``, ``rollouts``, ``throughput``: what is computed from them;
- ``tables``: the figures, as numbers and as text;
- ``style`` and the modules ``draw_*``: the pictures;
- ``page``: the page that holds them all;
- ``main``: the command ``python -m benchmarks report``.
"""
