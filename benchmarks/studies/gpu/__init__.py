"""The check of one CUDA card in a few minutes: the tests that need one, and what a roll-out costs there.

`python -m benchmarks gpu` runs these parts one after the other, each in a process of its own with a limit of its own:

tests
    Every test of the library marked ``cuda``, by name.
times of a network
    `python -m benchmarks performance` on ResNet-50 and ViT-B at 224 pixels: roll-outs against their inner steps alone,
    and Gram matrix and weighted sum against copies of as many bytes on the card.
overlap of a network
    A roll-out whose displacements go to host memory against the same with displacements on the card: how much of the
    copying is hidden beside the steps.

What comes out is one file, gpu.json: its schema is `record.Record`. It is written anew after every part, so that a part
that fails, hangs or is killed costs the others nothing, and says itself what is missing and why. On another device the
same way is gone, with the tests of that device: a rehearsal, whose figures say nothing about a card.
"""
