"""Miniatures of civilcomments, amazon, yelp, sqf and py150: texts and tables."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["amazon", "civilcomments", "py150", "sqf", "yelp"]

_IDENTITIES = ("male", "female", "LGBTQ", "christian", "muslim", "other_religions", "black", "white")
_AUXILIARY = (
    *("identity_any", "severe_toxicity", "obscene", "threat", "insult", "identity_attack", "sexual_explicit"),
)
_STARS = ("awful", "poor", "decent", "good", "wonderful")


def civilcomments(folder: Path, rng: np.random.Generator, side: int | None) -> None:  # noqa: ARG001
    """Comments about every identity, toxic and not, in every split."""
    rows: list[dict[str, Any]] = []
    for split, count in [("train", 8), ("val", 3), ("test", 3)]:
        for identity in (*_IDENTITIES, None):
            for toxic in (0, 1):
                for _ in range(count):
                    opinion = "are horrible idiots" if toxic else "are welcome here"
                    shares = {name: 0.9 if name == identity else 0.0 for name in _IDENTITIES}
                    rows.append(
                        {
                            "id": 5000 + len(rows),
                            "comment_text": f'People like them, "{identity}", {opinion}; comment {rng.integers(1000)}.',
                            "split": split,
                            "created_date": "2016-07-13 20:28:46.817085+00",
                            "publication_id": int(rng.integers(1, 60)),
                            "rating": "rejected" if toxic else "approved",
                            "toxicity": round(0.5 + 0.4 * toxic * rng.random() - 0.3 * (1 - toxic), 4),
                            **shares,
                            **dict.fromkeys(_AUXILIARY, 0.0),
                            "identity_any": float(identity is not None),
                        }
                    )
    pd.DataFrame(rows).to_csv(folder / "all_data_with_identities.csv")


def amazon(folder: Path, rng: np.random.Generator, side: int | None) -> None:  # noqa: ARG001
    """Reviews by twelve users to train on and eight others; a few rows that belong to no split."""
    rows: list[dict[str, Any]] = []
    splits: list[int] = []
    for user in range(20):
        for k in range(12):
            stars = int(rng.integers(1, 6))
            rows.append(
                {
                    "reviewerID": f"A{user:013d}",
                    "asin": f"B{rng.integers(30):09d}",
                    "overall": float(stars),
                    "reviewTime": "04 5, 2014",
                    "unixReviewTime": 1396656000 + len(rows),
                    "reviewText": f"A {_STARS[stars - 1]} thing,\nsays user {user}.",
                    "summary": _STARS[stars - 1],
                    "verified": bool(rng.integers(2)),
                    "category": ["Books", "Electronics", "Home_and_Kitchen"][int(rng.integers(3))],
                    "reviewYear": int(rng.integers(2012, 2019)),
                }
            )
            outside = 1 if user < 16 else 3
            splits.append(-1 if k == 11 else (0, 2, 4)[(k > 7) + (k > 9)] if user < 12 else outside)
    _reviews(folder, rows, "user", splits)


def yelp(folder: Path, rng: np.random.Generator, side: int | None) -> None:  # noqa: ARG001
    """Reviews up to 2013 to train on, later ones to test on."""
    rows: list[dict[str, Any]] = []
    splits: list[int] = []
    for year in range(2008, 2019):
        for k in range(12):
            stars = int(rng.integers(1, 6))
            rows.append(
                {
                    "review_id": f"r{len(rows):04d}",
                    "user_id": f"u{rng.integers(20):04d}",
                    "business_id": f"b{rng.integers(9):04d}",
                    "stars": stars,
                    "useful": 0,
                    "funny": 0,
                    "cool": 0,
                    "text": f"A {_STARS[stars - 1]} place in {year}.",
                    "date": f"{year}-06-07 08:09:10",
                    "year": year,
                    "city": ["Phoenix", "Toronto"][k % 2],
                    "state": ["AZ", "ON"][k % 2],
                    "categories": "Restaurants",
                }
            )
            splits.append((0, 2, 4)[(k > 7) + (k > 9)] if year < 2014 else 1 if k < 6 else 3)
    _reviews(folder, rows, "time", splits)


def _reviews(folder: Path, rows: list[dict[str, Any]], scheme: str, splits: list[int]) -> None:
    pd.DataFrame(rows).to_csv(folder / "reviews.csv", index=False, quoting=csv.QUOTE_NONNUMERIC)
    (folder / "splits").mkdir()
    pd.DataFrame({"split": splits}).to_csv(folder / "splits" / f"{scheme}.csv", index=False)


def sqf(folder: Path, rng: np.random.Generator, side: int | None) -> None:  # noqa: ARG001
    """Stops of 2009 to 2012; the columns that WILDS reads, with fewer precincts and reasons than there are."""
    n = 400
    weapon = rng.random(n) < 0.3
    frame = pd.DataFrame(
        {
            "id": range(n),
            "year": rng.integers(2009, 2013, n),
            "found.weapon": weapon,
            "suspected.crime": np.where(rng.random(n) < 0.95, "cpw", "robbery"),
            "suspect.race": rng.choice(["black", "white hispanic", "black hispanic", "white", "asian"], n),
            "borough": rng.choice(["Bronx", "Brooklyn", "Queens"], n),
            "precinct": rng.choice([40, 75, 103], n),
            "suspect.height": rng.normal(5.8, 0.3, n).round(2),
            "suspect.weight": rng.normal(170, 20, n).round(),
            "suspect.age": rng.integers(16, 60, n),
            "observation.period": rng.integers(1, 10, n),
            "inside.outside": rng.choice(["inside", "outside"], n),
            "location.housing": rng.choice(["housing", "neither", "transit"], n),
            "radio.run": rng.random(n) < 0.5,
            "officer.uniform": rng.random(n) < 0.5,
            "stopped.bc.bulge": weapon ^ (rng.random(n) < 0.1),
            "stopped.bc.object": rng.random(n) < 0.2,
            "additional.report": rng.random(n) < 0.2,
        }
    )
    frame["train.period"] = frame["year"] <= 2010
    frame.to_csv(folder / "sqf.csv")


def py150(folder: Path, rng: np.random.Generator, side: int | None) -> None:  # noqa: ARG001
    """Six repositories of token sequences in which every token tells the next one."""
    length, pad = 257, 1
    names = folder / "metadata" / "repo_file_names"
    names.mkdir(parents=True)
    (folder / "processed").mkdir()
    repos = [f"user{k}/project{k}" for k in range(6)]
    pd.DataFrame({"id": range(6), "repo_name": repos}).to_csv(names / "repo_ids.csv", index=False)
    for part, chosen in {
        "train": repos[:3],
        "IDval": repos[:3],
        "OODval": repos[3:4],
        "IDtest": repos[:3],
        "OODtest": repos[4:],
    }.items():
        tokens, types, files = [], [], []
        for repo in chosen:
            for k in range(6 if part == "train" else 2):
                start, used = int(rng.integers(2, 40)), int(rng.integers(length // 2, length + 1))
                row = [(start + 3 * i) % 60 + 2 for i in range(used)]
                kind = [(0, 1, 2, 3, 4, 5, 6)[token % 7] for token in row]
                tokens.append(row + [pad] * (length - used))
                types.append(kind + [-100] * (length - used))
                files.append(f"{repo}/module_{k}.py\n")
        (folder / "processed" / f"{part}_input.json").write_text(json.dumps(tokens))
        (folder / "processed" / f"{part}_input_tok_type.json").write_text(json.dumps(types))
        (names / f"{part}.txt").write_text("".join(files))
