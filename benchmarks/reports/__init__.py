"""The report of a comparison: one page, and its tables, from the records of runs.

- ``request``: what is asked for, and the report of it; ``watch`` and ``overview``: of a sweep that runs, of several;
- ``load``, ``load_store``, ``packed``: where records come from, and how they are held;
- ``selection``, ``choice``, ``requested``: what is compared with what, and the matrices of scores;
- ``comparisons``, ``evidence``, ``answer``: differences, verdicts, what they need, and the line at the top;
- ``constant``, ``normalised``, ``spectra``, ``throughput``: what else is computed from them;
- ``tables``: the figures, as numbers and as text; ``forest``: the plot at the top, as rows of text and bars;
- ``style`` and the modules ``draw_*``: the pictures;
- ``page``, ``template``, ``files``: the page that holds them all, and the files.
"""
