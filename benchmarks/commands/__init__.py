"""The commands of ``python -m benchmarks``: what can be said in `words`, and what is then done, in a module each."""
