"""The laboratory of pgrad: what helps on domains that training has not seen? ``python -m benchmarks`` is its one
door, and `pgrad-bench` the same from any folder.

It stands on floors, and each imports only from those below it:

`commands`
    The words of the command line.
`studies`
    Things done with all the rest: the quick comparison, the results, WILDS, physics, performance.
`reports`
    Tables, statistics, pictures, the page.
`sweeps`
    Many runs: their configuration and plan, the store where they are claimed, launchers, workers, the coordinator.
`runs`
    One run: its configuration, the protocol, the training loop, prepared data and features, plugins, the environment.
`algorithms`, `datasets`, `models`
    What a run is made of; adding one is a file and a line.
`base`, `physics`
    Records, seeds, search spaces, losses, metrics, errors, resources; formulas. They know no floor.

The library never imports this package.
"""
