"""The comparison with tuned baselines: its sweep files, the records of the rungs that are done, and their tables.

One rung after the other went into one store, and its records were kept by::

    python -m benchmarks sweep benchmarks/studies/comparison/tuned.yaml --datasets coloured-digits --output runs/tuned
    python -m benchmarks.studies.keep runs/tuned benchmarks/studies/comparison/tuned.yaml coloured-digits

``python -m benchmarks results`` writes the pages of ``docs/results`` anew from the records.
"""
