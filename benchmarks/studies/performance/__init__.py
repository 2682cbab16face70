"""Time and memory of a roll-out against the inner optimizer alone: the measuring protocol.

What is compared. A *roll-out* is T inner steps on T micro-batches and, where the method has one, its outer step. The
base line is the inner optimizer (Adam) making the same T steps. Beside it: PGrad, the dense textbook way (clones of
all points and `pgrad.reference`), Lookahead and SAM of pytorch_optimizer, and torchjd's PCGrad of the T gradients.
Every method has its own copy of the same model and sees the same T batches.

Time. All methods of a problem are in one process and take turns: one roll-out each, round after round, in an order
that rotates. Each has two roll-outs of warm-up, so that buffers exist and memory is paged in. What is reported is the
median over the rounds of the *ratio* to the base line in the same round, with its quartiles: a busy machine slows both
sides of a ratio. Clock ``wall`` is the time that passes, on all threads (and waits for the accelerator); ``cpu`` is the
processor time of one thread, which other programs disturb little: for a machine that is not idle.

Memory. Each method runs in a fresh process of its own, two roll-outs; the figure is the peak of the allocator on a GPU
and the peak resident size on a CPU, less that of the base line's process. Models below a million parameters are left
out: their vectors are smaller than what a process differs by from one start to the next.

Limits. What PGrad adds can not be faster than its bytes at copy bandwidth nor than its products at the rate of a large
matrix product; both rates are measured in the same process. In vectors of d numbers, a roll-out reads or writes

    2 (anchor) + 3 (T-1) (record) + 4 (close) + T (Gram) + T + 1 (weighted sum) + 3 (outer SGD),

and multiplies T (T+1) / 2 times d pairs. The share of the limit is this least time over the time really added.
`passes` also times Gram matrix and weighted sum alone, against copying the bytes that they must move.

`python -m benchmarks performance` takes some minutes on two cores; ``--full`` adds the sizes that need an
hour, much memory or a GPU. Results: ``results.json`` (environment, every round, failures with their reason) and
``overhead.png``.
"""
