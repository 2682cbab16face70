"""The Bethe-Heitler data sets before any sweep: their settings, baselines, and noise against ignorance.

All figures are root mean square pulls, errors in units of the statistical error; the truth has 1. The tables are
those of docs/physics.md.
"""
