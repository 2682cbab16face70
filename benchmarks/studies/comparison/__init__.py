"""The comparison with tuned baselines: its sweep files, the records of the rungs that are done, and their tables.

One rung after the other went into one store, and its records were kept by::

    python -m benchmarks sweep benchmarks/studies/comparison/tuned.yaml --datasets coloured-digits --output runs/tuned
    python -m benchmarks export benchmarks/studies/comparison/records/coloured-digits.jsonl.xz --output runs/tuned

``python -m benchmarks results`` writes ``docs/results/tuned.md`` anew from the records.
"""
