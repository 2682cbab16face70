"""Constants of nature, as CODATA recommended them in 2018."""

ALPHA = 1 / 137.035999084
"""The fine-structure constant."""

PROTON_MASS = 0.93827208816
"""In GeV."""

PROTON_MOMENT = 2.79284734463
"""The magnetic moment of the proton in nuclear magnetons."""

GEV2_NANOBARN = 389379.3721
"""One GeV^-2 in nanobarns, (ħc)^2."""
