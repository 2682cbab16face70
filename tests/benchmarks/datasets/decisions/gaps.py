"""How much harder a domain is that was held out."""

from benchmarks.runs.config import RunConfig
from benchmarks.runs.runner import run


def inside_and_outside(dataset, held_out, **settings):
    """By ERM, each domain of `held_out` held out in turn: the agreement on each on its validation part where
    others are, on average, and on all of it where it is.
    """
    inside, outside = {name: [] for name in held_out}, {}
    lengths = {"rollouts": 12, "evaluate_every": settings.get("rollouts", 12), "model": "decisions"}
    hparams = {"lr": settings.pop("lr", 1e-3), "weight_decay": 0.0}
    for name in held_out:
        config = RunConfig(dataset=dataset, algorithm="erm", held_out=(name,), seed=0, point=0, hparams=hparams,
                           **(lengths | settings))  # fmt: skip
        outcome = run(config)
        assert outcome["status"] == "finished", outcome["traceback"]
        curves = outcome["domain_curves"]
        outside[name] = curves[name][-1]
        for other in held_out:
            if other != name:
                inside[other].append(curves[other][-1])
    return {name: sum(found) / len(found) for name, found in inside.items()}, outside
