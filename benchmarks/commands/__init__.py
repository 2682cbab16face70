"""The commands of ``python -m benchmarks``, each imported when it is used."""
