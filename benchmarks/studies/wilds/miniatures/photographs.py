"""Miniatures of iwildcam, waterbirds, celebA, domainnet, globalwheat and bdd100k."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.studies.wilds.miniatures.pictures import picture, save

__all__ = ["bdd100k", "celeba", "domainnet", "globalwheat", "iwildcam", "waterbirds"]


def iwildcam(folder: Path, rng: np.random.Generator, side: int | None) -> None:
    """Six animals before 20 cameras; some cameras have two pictures only, as there are such ones in the real data."""
    size = (side or 448, side or 448)
    cameras = [("train", 12), ("val", 4), ("test", 4)]
    rows: list[dict[str, Any]] = []
    location = 0
    for split, count in cameras:
        for _ in range(count):
            for k in range(2 if location % 6 == 5 else 10):
                part = "id_val" if split == "train" and k == 8 else "id_test" if split == "train" and k == 9 else split
                label = len(rows) % 6
                name = f"{len(rows):08x}-21bc-11ea-a13a-137349068a90"
                rows.append(
                    {
                        "split": part,
                        "location_remapped": location,
                        "location": 100 + location,
                        "sequence_remapped": len(rows) // 2,
                        "seq_id": f"seq-{len(rows) // 2}",
                        "y": label,
                        "category_id": 10 * label,
                        "datetime": f"2013-{rng.integers(1, 13):02d}-{rng.integers(1, 29):02d} 06:07:08.000",
                        "filename": f"{name}.jpg",
                        "image_id": name,
                    }
                )
                save(picture(rng, size, label, 6, location, 20), folder / "train" / f"{name}.jpg")
            location += 1
    pd.DataFrame(rows).to_csv(folder / "metadata.csv")
    categories = pd.DataFrame(
        {"y": range(6), "category_id": range(0, 60, 10), "name": [f"animal-{k}" for k in range(6)]}
    )
    categories.to_csv(folder / "categories.csv", index=False)


def waterbirds(folder: Path, rng: np.random.Generator, side: int | None) -> None:
    """Birds that in training mostly stand before their own background."""
    size = (side or 224, side or 224)
    rows: list[dict[str, Any]] = []
    for split, counts in enumerate([(24, 8, 6, 16), (6, 6, 6, 6), (6, 6, 6, 6)]):
        for group, count in enumerate(counts):
            y, place = divmod(group, 2)
            for _ in range(count):
                kind = f"{1 + y:03d}.{'Water' if y else 'Land'}_bird"
                name = f"{kind}/{kind[4:]}_{len(rows):04d}.jpg"
                rows.append(
                    {
                        "img_id": len(rows) + 1,
                        "img_filename": name,
                        "y": y,
                        "split": split,
                        "place": place,
                        "place_filename": f"/{'o/ocean' if place else 'b/bamboo_forest'}/{len(rows):08d}.jpg",
                    }
                )
                save(picture(rng, size, y, 2, place, 2), folder / name)
    pd.DataFrame(rows).to_csv(folder / "metadata.csv", index=False)


def celeba(folder: Path, rng: np.random.Generator, side: int | None) -> None:
    """Faces with four of the forty attributes of the real file, two of which WILDS uses."""
    size = (side or 218, side or 178)
    attributes: list[dict[str, Any]] = []
    partition: list[dict[str, Any]] = []
    for split, counts in enumerate([(14, 10, 12, 4), (4, 4, 4, 4), (4, 4, 4, 4)]):
        for group, count in enumerate(counts):
            blond, male = divmod(group, 2)
            for _ in range(count):
                name = f"{len(partition) + 1:06d}.jpg"
                smiling, young = (int(v) for v in rng.integers(0, 2, 2))
                signs = {"Blond_Hair": blond, "Male": male, "Smiling": smiling, "Young": young}
                attributes.append({"image_id": name, **{key: 2 * value - 1 for key, value in signs.items()}})
                partition.append({"image_id": name, "partition": split})
                save(picture(rng, size, blond, 2, male, 2), folder / "img_align_celeba" / name)
    pd.DataFrame(attributes).to_csv(folder / "list_attr_celeba.csv", index=False)
    pd.DataFrame(partition).to_csv(folder / "list_eval_partition.csv", index=False)


def domainnet(folder: Path, rng: np.random.Generator, side: int | None) -> None:
    """Four categories in the six styles."""
    size = (side or 224, side or 224)
    styles = ["clipart", "infograph", "painting", "quickdraw", "real", "sketch"]
    rows: list[dict[str, Any]] = []
    for number, style in enumerate(styles):
        for y, category in enumerate(["aircraft_carrier", "airplane", "alarm_clock", "ambulance"]):
            for k in range(6):
                name = f"{style}/{category}/{style}_{y:03d}_{k:06d}.jpg"
                split = "train" if k < 4 else "test"
                rows.append({"image_path": name, "domain": style, "split": split, "category": category, "y": y})
                save(picture(rng, size, y, 4, number, 6), folder / name)
    pd.DataFrame(rows).to_csv(folder / "metadata.csv", index=False, quoting=csv.QUOTE_NONNUMERIC)


def globalwheat(folder: Path, rng: np.random.Generator, side: int | None) -> None:
    """Bright heads on dark fields of eight sessions, one field without any."""
    from wilds.datasets.globalwheat_dataset import COUNTRIES, LOCATIONS, SESSIONS, STAGES

    side = side or 1024
    parts = {
        "official_train": (0, 1, 2),
        "official_val": (13, 14),
        "official_test": (20, 21, 22),
        "fixed_train_val": (0, 1),
        "fixed_train_test": (1, 2),
    }
    for part, sessions in parts.items():
        rows: list[dict[str, Any]] = []
        for session in sessions:
            for k in range(6 if part == "official_train" else 2):
                name = f"{part}-{session}-{k}.png"
                image = picture(rng, (side, side), 0, 2, session, 47) // 2
                corners = rng.integers(0, side - side // 4, (0 if k == 5 else 3, 2))
                boxes = [(int(x), int(y), int(x) + side // 5, int(y) + side // 6) for x, y in corners]
                for x, y, right, low in boxes:
                    image[y:low, x:right] = (250, 240, 120)
                save(image, folder / "images" / name)
                text = ";".join(" ".join(map(str, box)) for box in boxes) or "no_box"
                rows.append({"image_name": name, "BoxesString": text, "domain": session})
        pd.DataFrame(rows).to_csv(folder / f"{part}.csv", index=False)
    n = range(len(SESSIONS))
    domains = pd.DataFrame(
        {
            "name": SESSIONS,
            "country": [COUNTRIES[k % len(COUNTRIES)] for k in n],
            "location": [LOCATIONS[k % len(LOCATIONS)] for k in n],
            "development_stage": [STAGES[k % len(STAGES)] for k in n],
        }
    )
    domains.to_csv(folder / "metadata_domain.csv", index=False, sep=";")


def bdd100k(folder: Path, rng: np.random.Generator, side: int | None) -> None:
    """Scenes by day to train on, at all times to test on; nine labels, of which the stripes show the first two."""
    labels = ["bicycle", "bus", "car", "motorcycle", "pedestrian", "rider", "traffic light", "traffic sign", "truck"]
    size = (side or 720, side or 1280)
    for part, times, count in [("train", (0, 1), 16), ("val", (1,), 12), ("test", (0, 1, 2), 4)]:
        rows: list[dict[str, Any]] = []
        for time in times:
            for k in range(count):
                bits = [k % 2, k // 2 % 2, *(int(bit) for bit in rng.integers(0, 2, 7))]
                name = f"{part}-{time}-{k:04d}.jpg"
                rows.append({"image": name, **dict(zip(labels, bits, strict=True)), "group": time})
                save(picture(rng, size, 2 * bits[0] + bits[1], 4, time, 4), folder / "images" / name)
        pd.DataFrame(rows).to_csv(folder / f"timeofday_{part}.csv", index=False)
