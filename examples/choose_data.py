"""Data to try `pgrad-bench choose` on: a table of four clinics, pictures of four kinds, a fifth of each without labels.

    python examples/choose_data.py FOLDER

writes into FOLDER (choose-data, if none is named) clinics.csv and shapes/, then fifth-clinic.csv and fifth-shapes/, and
what is true of the last two in fifth-clinic-truth.csv and fifth-shapes-truth.csv. All of it is drawn, and always the
same.
"""

import csv
import sys
from pathlib import Path

try:
    import numpy as np
    from PIL import Image, ImageDraw, ImageFilter
except ImportError as error:
    raise SystemExit(f"{error}; this example needs: pip install numpy pillow") from error


CLINICS = {"north": (0.0, 0.55), "south": (2.0, 0.65), "east": (4.0, 0.75), "west": (6.0, 0.85), "fifth": (8.0, 0.2)}
"""How much older the patients are, and how often the scanner agrees with the illness."""

KINDS = ("paper", "night", "fog", "bricks", "grass")
SHAPES = ("circle", "square", "triangle")


def patients(clinic: str, number: int, rng: np.random.Generator) -> list[dict[str, object]]:
    """Rows of one clinic: three visits of each patient."""
    older, agrees = CLINICS[clinic]
    rows = []
    for patient in range(number // 3):
        ill = bool(rng.random() < 0.5)
        age = round(float(rng.normal(58 + older + 6 * ill, 8)))
        for _ in range(3):
            pressure = round(float(rng.normal(124 + 9 * ill, 9)), 1)
            scanner = "A" if (rng.random() < agrees) == ill else "B"
            row = {"clinic": clinic, "patient": f"{clinic}-{patient}", "age": age, "pressure": pressure}
            rows.append({**row, "scanner": scanner, "outcome": "ill" if ill else "well"})
    return rows


def picture(kind: str, shape: str, rng: np.random.Generator) -> Image.Image:
    """A shape of any colour on a ground of one kind, 72 pixels."""
    side = 72
    grounds = {"paper": (225, 220, 210), "night": (20, 22, 40), "fog": (165, 168, 172), "bricks": (150, 80, 60)}
    ground = Image.new("RGB", (side, side), grounds.get(kind, (70, 120, 50)))
    draw = ImageDraw.Draw(ground)
    if kind == "bricks":
        for row, y in enumerate(range(0, side, 9)):
            draw.line([(0, y), (side, y)], fill=(190, 180, 170))
            for x in range(9 * (row % 2), side, 18):
                draw.line([(x, y), (x, y + 9)], fill=(190, 180, 170))
    if kind == "grass":
        for _ in range(250):
            x, y = rng.integers(0, side, 2).tolist()
            draw.line([(x, y), (x + 2, y - 7)], fill=(40, int(rng.integers(90, 190)), 40))
    if kind == "night":
        for _ in range(40):
            draw.point(tuple(rng.integers(0, side, 2).tolist()), fill=(230, 230, 200))
    r = int(rng.integers(8, 18))
    x, y = rng.integers(r + 4, side - r - 4, 2).tolist()
    colour = tuple(rng.integers(30, 225, 3).tolist())
    corners = {"square": 4, "triangle": 3}
    if shape == "circle":
        draw.ellipse([x - r, y - r, x + r, y + r], outline=colour, width=3)
    else:
        turn = int(rng.integers(0, 360))
        draw.regular_polygon((x, y, r), corners[shape], rotation=turn, outline=colour, width=3)
    pixels = np.asarray(ground.filter(ImageFilter.GaussianBlur(1.5 if kind == "fog" else 0.5)), dtype=float)
    return Image.fromarray(np.clip(pixels + rng.normal(0, 10, pixels.shape), 0, 255).astype(np.uint8))


def write(path: Path, rows: list[dict[str, object]]) -> None:
    """A CSV file with the columns of its first row."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def main(folder: Path, of_clinic: int = 300, of_kind: int = 120) -> None:
    """Writes all of it."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    clinics = {name: patients(name, of_clinic, rng) for name in CLINICS}
    write(folder / "clinics.csv", [row for name in CLINICS for row in clinics[name] if name != "fifth"])
    inputs = ("age", "pressure", "scanner")
    write(folder / "fifth-clinic.csv", [{name: row[name] for name in inputs} for row in clinics["fifth"]])
    truth = [{"row": number + 1, "outcome": row["outcome"]} for number, row in enumerate(clinics["fifth"])]
    write(folder / "fifth-clinic-truth.csv", truth)
    told = []
    for kind in KINDS:
        for number in range(of_kind):
            shape = SHAPES[number % 3]
            place = folder / "fifth-shapes" if kind == "grass" else folder / "shapes" / kind / shape
            place.mkdir(parents=True, exist_ok=True)
            picture(kind, shape, rng).save(place / f"{number:03}.png")
            if kind == "grass":
                told.append({"file": f"{number:03}.png", "shape": shape})
    write(folder / "fifth-shapes-truth.csv", told)
    known = len(CLINICS) - 1, len(KINDS) - 1
    print(f"clinics.csv: {known[0] * of_clinic} rows of {known[0]} clinics; fifth-clinic.csv: {of_clinic} of another")
    print(f"shapes/: {known[1] * of_kind} pictures of {known[1]} kinds; fifth-shapes/: {of_kind} of another")


if __name__ == "__main__":
    main(Path(sys.argv[1] if sys.argv[1:] else "choose-data"))
