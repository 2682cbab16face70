"""Training and official evaluation on WILDS data sets: ``python -m benchmarks wilds``."""
