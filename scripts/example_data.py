"""Write the data of the example line and of the templates: sets that scikit-learn ships, split by
fixed seeds.

python scripts/example_data.py

wine: 178 Italian wines of three cultivars, 13 measurements each; iris: 150 flowers of three
species, 4 measurements each (both UCI Machine Learning Repository, CC BY 4.0); diabetes: 442
patients, 10 baseline values and the disease's progression after a year (Efron et al., Least Angle
Regression, 2004). Nothing is invented except what `broken.csv` says about itself.
"""

import csv
import random
from pathlib import Path

from sklearn.datasets import load_diabetes, load_iris, load_wine

ROOT = Path(__file__).resolve().parent.parent
TEMPLATES = ROOT / "src" / "conveyor" / "templates"


def main() -> None:
    """Write every file anew; the same seeds give the same bytes."""
    wine(ROOT / "data")
    iris = load_iris()
    names = [name.removesuffix(" (cm)").replace(" ", "_") for name in iris.feature_names]
    rows = [[*row, int(label)] for row, label in zip(iris.data, iris.target, strict=True)]
    template(TEMPLATES / "classification", [*names, "species"], rows)
    patients = load_diabetes(scaled=False)
    rows = [[*row, label] for row, label in zip(patients.data, patients.target, strict=True)]
    template(TEMPLATES / "regression", [*patients.feature_names, "progression"], rows)


def wine(data: Path) -> None:
    """Write the example line's hold-out rows and the three uploads of the demo."""
    bottles = load_wine()
    header = [name.replace("/", "_") for name in bottles.feature_names] + ["cultivar"]
    rows = [[*row, int(label) + 1] for row, label in zip(bottles.data, bottles.target, strict=True)]
    random.Random(7).shuffle(rows)
    holdout, rest = rows[:54], rows[54:]
    write(data / "wine-holdout.csv", header, holdout)
    write(data / "examples" / "first.csv", header, rest[:20])
    write(data / "examples" / "better.csv", header, rest)
    write(data / "examples" / "broken.csv", header, broken(rest))


def broken(rows: list[list[float]]) -> list[list[object]]:
    """Return rows as a careless export would give them: a negative alcohol, a text, no label."""
    spoiled: list[list[object]] = [list(row) for row in rows]
    spoiled[2][0] = -13.2
    spoiled[5][4] = "n/a?"
    spoiled[9][-1] = ""
    return spoiled


def template(folder: Path, header: list[str], rows: list[list[float]]) -> None:
    """Write a template's hold-out rows (a quarter) and the upload to begin with."""
    random.Random(7).shuffle(rows)
    quarter = len(rows) // 4
    write(folder / "data" / "holdout.csv", header, rows[:quarter])
    write(folder / "data" / "examples" / "first.csv", header, rows[quarter:])


def write(path: Path, header: list[str], rows: list[list[object]]) -> None:
    """Write one CSV file with Unix line ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


if __name__ == "__main__":
    main()
