"""Which outer step a swap should have: Adam replaced by `pgrad.PGrad`, on the data ladder, at equal budget.

The outer learning rate 0.1, 0.3, 0.7 or 1, with and without Nesterov's momentum outside, for the principal gradient and
for the plain displacement, beside Adam alone (`benchmarks.studies.outer.variants`). ``ladder.yaml`` was done and kept
by::

    python -m benchmarks sweep benchmarks/studies/outer/ladder.yaml --output runs/outer
    python -m benchmarks export benchmarks/studies/outer/ladder.jsonl.xz --output runs/outer

``python -m benchmarks results`` writes the tables of ``docs/results/outer-step.md`` anew from the records.
"""
