"""A small world to decide in: a walker on a line that must reach a goal which it sees, or is told once."""

import numpy as np

from benchmarks.datasets.decisions.games import as_teacher, log, noisy
from benchmarks.datasets.decisions.steps import Episode, View

LEFT, STAY, RIGHT = range(3)


class Line:
    """Position 0..6; the goal is told at the first step only. Domains mirror left and right in what is seen."""

    def __init__(self, domain, seed, steps=8):
        rng = np.random.default_rng([seed, 7])
        self.place, self.goal = 3, int(rng.choice([0, 1, 5, 6]))
        self.time, self.steps, self.domain = 0, steps, domain

    @property
    def over(self):
        return self.time == self.steps or self.place == self.goal

    def view(self):
        told = self.goal if self.time == 0 else -1
        context = np.array([self.place == at for at in range(7)] + [told == at for at in range(7)], dtype=float)
        legal = np.array([self.place > 0, True, self.place < 6])
        return View(context, np.zeros((3, 0)), legal)

    def teacher(self):
        return LEFT if self.goal < self.place else RIGHT

    def act(self, option):
        assert self.view().legal[option]
        self.place += option - 1
        self.time += 1
        return float(self.place == self.goal)

    def outcome(self):
        return float(self.place == self.goal)

    def text(self):
        return "".join("@" if at == self.place else "*" if at == self.goal else "." for at in range(7))


def episodes(domains=("a", "b", "c"), number=30, share=0.3):
    """Logs of a noisy teacher."""
    found = []
    for place, domain in enumerate(domains):
        for seed in range(number):
            rng = np.random.default_rng([place, seed])
            steps = log(Line(domain, 1000 * place + seed), noisy(share, as_teacher), rng)
            found.append(Episode(domain, str(seed), steps))
    return found
