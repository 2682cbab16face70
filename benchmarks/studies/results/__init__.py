"""The comparison on the data ladder: its sweeps, their records, and the tables beside ``docs/results.md``.

A sweep ``NAME.yaml`` was done and kept by::

    python -m benchmarks sweep benchmarks/studies/results/NAME.yaml --output runs/NAME
    python -m benchmarks export benchmarks/studies/results/NAME.jsonl.xz --output runs/NAME

``python -m benchmarks results`` writes ``docs/results/`` anew from the records; ``python -m benchmarks report
benchmarks/studies/results/NAME.jsonl.xz --output runs/NAME/report`` makes the whole page of one of them.
"""
