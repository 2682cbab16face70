"""The names of what there is, for whoever must know them before the things themselves are loaded.

A command line with a wrong name is refused at once, and not after seconds of imports. The registries are what counts; a
test holds these names against them, and says so to whoever adds one.
"""

from __future__ import annotations

# fmt: off
ALGORITHMS = (
    "erm", "erm-adamw", "erm-sgd", "erm-small", "pgrad", "reptile", "pgrad-nesterov", "reptile-nesterov", "pgrad-sgd",
    "reptile-sgd", "lookahead", "sam", "sagm", "genie", "upgrad", "groupdro", "irm", "vrex", "coral", "mixup",
    "erm-ema", "erm-swa", "erm-swad", "erm-sgd-ema", "erm-sgd-swa", "erm-sgd-swad",
    "pgrad-ema", "reptile-ema", "schedule-free",
    "probe-first", "l2-sp", "diwa",
)
"""Of `benchmarks.algorithms`."""

DATASETS = (
    "rotated-digits", "coloured-digits", "emoji-styles4-32", "emoji-styles4-64", "emoji-styles8-32",
    "emoji-styles8-64", "rotated-fashion", "coloured-fashion", "vader-tfidf", "vader-sentences", "bethe-heitler-plain",
    "bethe-heitler-physics", "job-scheduling", "job-scheduling-sites", "tool-calls", "babyai", "babyai-pixels",
    "pokemon-generations",
)
"""Of `benchmarks.datasets`; names with a colon say where a user's own data are."""

MODELS = (
    "mlp", "linear", "cnn", "decisions", "decisions-by-step", "decisions-pixels",
)
"""Of `benchmarks.models`; names with a colon are of a library."""

WILDS = (
    "camelyon17", "fmow", "poverty", "iwildcam", "civilcomments", "amazon", "rxrx1", "globalwheat", "py150",
    "waterbirds", "celebA", "domainnet", "yelp", "sqf", "bdd100k", "ogb-molpcba", "encode",
)
"""Of `pgrad.integrations.wilds`."""

SWEEP = (
    "datasets", "algorithms", "seeds", "points", "leave_out", "selection", "search", "share_points", "cross_points",
    "widen", "families", "refit", "confirmatory", "settings", "fixed", "plugins", "launcher", "outputs", "max_attempts",
)
"""What a sweep file can say: the fields of `benchmarks.sweeps.config.SweepConfig`."""

SETTINGS = (
    "model", "width", "depth", "weights", "tuning", "batch_norm", "image_size", "rollouts", "evaluate_every",
    "batch_size", "splits", "class_weights", "metric", "measures", "folds", "lr_scale", "regime",
)
"""The fields of `benchmarks.sweeps.settings.SweepSettings`."""

SEARCH = {
    "narrow": "ranges", "wide": "ranges", "random": "kind", "even": "kind", "tpe": "kind", "halving": "prune",
    "hyperband": "prune",
}
"""Words of a search, and which field of `benchmarks.sweeps.search.Search` each is."""

LAUNCHERS = ("in-process", "local", "slurm", "ray")
"""Of `benchmarks.sweeps.launcher_config`."""

SCHEMES = ("folder", "table", "decisions")
"""What stands before the colon where a user's own data are named: of `benchmarks.datasets.lookup`."""
