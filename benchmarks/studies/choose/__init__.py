"""From a person's own domains to a model for the next one: ``pgrad-bench choose`` and what it stands on.

The design on one page.

**A sweep over the person's data.**  The candidates are the recipe's shortlist (`recipe`): inner optimizer, average,
displacement and principal gradient, each at several points of a wide range of learning rates; the length is the
checkpoint. Every run is a row of a store, done by the workers of sweeps, so that `report` shows all of it.

**Leave one domain out, nested.**  Let o be the empty set, or one domain. A candidate's figure for o is its mean over
the domains e outside o, each as the run has it that holds out o and e. The model to keep is chosen with o empty; what
to expect on domain d is what the choice for o = {d}, made without d, reaches on d. Losers are halved away
(successive halving, Jamieson and Talwalkar 2016, arXiv:1502.07943) for every o by itself, by the figures for that o
alone: an elimination that saw d would be a choice made with it. Runs that several o ask for are done once. Candidates
of a rung have the same budget of gradient evaluations (`halving`).

**Refit.**  Each choice for {d} is trained again on training and validation parts of the other domains and evaluated
on d: that figure, and the predictions of every example, are the expectation (`expectation`). The choice for the empty
set is trained on all examples of all domains (`final`): that is the model.

**Beside it.**  The predictor that says the majority class; ERM at its default, which is never halved away; what the
validation parts promised of the same choices. If the choices are no better than plain ERM on average over the
domains, plain ERM is taken, and its figures are the expectation.

**Time.**  `sizing` times a few steps of each algorithm and takes the largest search that fits. When time is over, or
after Ctrl-C, the last rung that is complete decides. The plan stands in ``choose.json``; the same command goes on.

**The folder.**  ``model/`` appears whole (`writing`): the model folder of `benchmarks.runs.model_folder` with its
card, picture, held-out predictions and ``train.py``. The store, prepared data and logs are beside it.
"""
