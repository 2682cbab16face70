"""Miniatures of camelyon17, fmow, poverty and rxrx1."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.studies.wilds.miniatures.pictures import pattern, picture, save

__all__ = ["camelyon17", "fmow", "poverty", "rxrx1"]


def camelyon17(folder: Path, rng: np.random.Generator, side: int | None) -> None:
    """Five hospitals of two slides and 24 patches; WILDS makes hospital 1 "val" and hospital 2 "test"."""
    side = side or 96
    rows: list[dict[str, Any]] = []
    for number in range(5 * 24):
        center, patch = divmod(number, 24)
        slide = 10 * center + patch % 2
        row: dict[str, Any] = {
            "patient": f"{20 * center + patch % 2:03d}",
            "node": patch % 2,
            "x_coord": int(rng.integers(0, 30000)),
            "y_coord": int(rng.integers(0, 30000)),
            "tumor": patch // 2 % 2,
            "slide": slide,
            "center": center,
            "split": int(patch >= 16),
        }
        rows.append(row)
        stem = "patient_{patient}_node_{node}".format(**row)
        file = f"patches/{stem}/patch_{stem}_x_{row['x_coord']}_y_{row['y_coord']}.png"
        save(picture(rng, (side, side), row["tumor"], 2, center, 5), folder / file)
    pd.DataFrame(rows).to_csv(folder / "metadata.csv")


def fmow(folder: Path, rng: np.random.Generator, side: int | None) -> None:
    """Six categories of land use in six regions from 2002 to 2017, with the sequestered rows that WILDS leaves out."""
    side = side or 224
    categories = ["airport", "crop_field", "hospital", "port", "stadium", "zoo"]
    countries = {"CHN": "Asia", "FRA": "Europe", "KEN": "Africa", "USA": "Americas", "AUS": "Oceania", "ATA": "Other"}
    years = {"train": range(2002, 2013), "val": range(2008, 2016), "test": range(2008, 2018), "seq": range(2002, 2004)}
    rows: list[dict[str, Any]] = []
    for split, span in years.items():
        for year in span:
            for k in range(12 if split == "train" else 6):
                country = list(countries)[(k + year) % 6]
                moment = f"{year}-{rng.integers(1, 13):02d}-{rng.integers(1, 29):02d}T10:20:{rng.integers(0, 60):02d}"
                rows.append(
                    {
                        "split": split,
                        "img_filename": f"{categories[k % 6]}_{len(rows)}_rgb.jpg",
                        "img_path": f"{split}/{categories[k % 6]}/{len(rows)}_rgb.jpg",
                        "spatial_reference": "EPSG:4326",
                        "epsg": 4326,
                        "category": categories[k % 6],
                        "visible": 1,
                        "img_width": side,
                        "img_height": side,
                        "country_code": country,
                        "cloud_cover": int(rng.integers(0, 30)),
                        # As in the real file, some time stamps have milliseconds and some have not.
                        "timestamp": moment + ("Z" if k % 2 else f".{rng.integers(0, 1000):03d}Z"),
                        "lat": round(float(rng.uniform(-60, 60)), 6),
                        "lon": round(float(rng.uniform(-180, 180)), 6),
                        "region": countries[country],
                    }
                )
                image = picture(rng, (side, side), k % 6, 6, year - 2002, 16)
                save(image, folder / "images" / f"rgb_img_{len(rows) - 1}.png")
    pd.DataFrame(rows).to_csv(folder / "rgb_metadata.csv", index=False)
    mapping = pd.DataFrame({"alpha-3": countries.keys(), "region": countries.values()})
    mapping[mapping["region"] != "Other"].to_csv(folder / "country_code_mapping.csv", index=False)


def poverty(folder: Path, rng: np.random.Generator, side: int | None) -> None:
    """Villages in all 23 countries, at least 90 of them to train on in every fold.

    WILDS sets 2000 villages of the 13 or 14 training countries aside before it trains on the rest, hence their number.
    Their images are hard links to 48: one for each of 24 levels of wealth, in town and in the country.
    """
    side = side or 224
    countries = [
        *("angola", "benin", "burkina_faso", "cameroon", "cote_d_ivoire", "democratic_republic_of_congo", "ethiopia"),
        *("ghana", "guinea", "kenya", "lesotho", "malawi", "mali", "mozambique", "nigeria", "rwanda", "senegal"),
        *("sierra_leone", "tanzania", "togo", "uganda", "zambia", "zimbabwe"),
    ]
    images = folder / "images"
    images.mkdir()
    first: dict[tuple[int, int], Path] = {}
    rows: list[dict[str, Any]] = []
    for number in range(3700):
        urban, level = int(rng.random() < 0.4), int(rng.integers(0, 24))
        path = images / f"landsat_poverty_img_{number}.npz"
        known = first.setdefault((urban, level), path)
        if known == path:
            strength = (level - 12) / 8
            bands = np.linspace(0.5, 1.0, 8)[:, None, None] * strength * pattern(side, side, urban, 2)
            bands[-1] = strength + urban  # night lights
            np.savez_compressed(path, x=bands.astype(np.float32))
        else:
            _link(known, path)
        rows.append(
            {
                "lat": round(float(rng.uniform(-30, 15)), 5),
                "lon": round(float(rng.uniform(-15, 45)), 5),
                "wealthpooled": round((level - 12) / 8 + 0.02 * float(rng.normal()), 6),
                "country": countries[number % 23],
                "year": int(rng.integers(2009, 2017)),
                "urban": bool(urban),
                "nl_mean": round(float(rng.uniform(0, 5)), 5),
                "nl_center": round(float(rng.uniform(0, 5)), 5),
                "households": int(rng.integers(10, 30)),
            }
        )
    pd.DataFrame(rows).to_csv(folder / "dhs_metadata.csv", index=False)


def rxrx1(folder: Path, rng: np.random.Generator, side: int | None) -> None:
    """Eight treatments in four cell types; sites 1 and 2 of every well, as "train" and "id_test" take them."""
    side = side or 256
    experiments = [("HEPG2-01", "train"), ("HUVEC-01", "train"), ("RPE-01", "train"), ("U2OS-01", "train")]
    experiments += [("HEPG2-08", "val"), ("HUVEC-17", "test"), ("RPE-08", "test")]
    rows: list[dict[str, Any]] = []
    for number, (experiment, split) in enumerate(experiments):
        for sirna in range(8):
            for site in (1, 2):
                well = f"{'BCDEFGHI'[sirna]}{2 + number:02d}"
                rows.append(
                    {
                        "site_id": f"{experiment}_1_{well}_{site}",
                        "well_id": f"{experiment}_1_{well}",
                        "cell_type": experiment.split("-")[0],
                        "dataset": split,
                        "experiment": experiment,
                        "plate": 1,
                        "well": well,
                        "site": site,
                        "well_type": "treatment",
                        "sirna": f"s{20000 + sirna}",
                        "sirna_id": sirna,
                    }
                )
                image = picture(rng, (side, side), sirna, 8, number, 7)
                save(image, folder / "images" / experiment / "Plate1" / f"{well}_s{site}.png")
    pd.DataFrame(rows).to_csv(folder / "metadata.csv", index=False)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copyfile(source, target)
