"""What each setting of the published recipes changes, measured on rooms: the published value against our default.

python -m analysis.recipe_effects [--seeds 0 1 2] [--out analysis/results/recipe_effects.csv] [key=value ...]

Every row is one training of `quickstart` with `uniform-tlabel`, all settings as published but one. Rows that the file has
already are not trained again.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import pandas as pd

from atrcnas import ContextConfig, Experiment, retrain

PUBLISHED = [
    "data.augment.interpolation=opencv",
    "data.augment.pad=centred",
    "data.drop_last=true",
    "data.selection=0",
    "retrain.keep=last",
]
CHANGES = {
    "as published": [],
    "interpolation: antialiased": ["data.augment.interpolation=antialiased"],
    "pad: end": ["data.augment.pad=end"],
    "drop_last: false": ["data.drop_last=false"],
    "selection: 0.1": ["data.selection=0.1"],
    "selection: 0.1, keep: best": ["data.selection=0.1", "retrain.keep=best"],
}


def train(change: str, seed: int, overrides: list[str]) -> dict[str, object]:
    experiment = Experiment.load("quickstart", [*PUBLISHED, *CHANGES[change], f"seed={seed}", *overrides])
    with tempfile.TemporaryDirectory() as folder:
        results = retrain(experiment, ContextConfig.load("uniform-tlabel"), Path(folder) / "run")
    first = {task: next(iter(figures.items())) for task, figures in results["scores"].items()}
    return {"change": change, "seed": seed, **{f"{task} {name}": value for task, (name, value) in first.items()}}


def table(rows: pd.DataFrame) -> str:
    """Mean and sample standard deviation over seeds, in Markdown."""
    figures = [name for name in rows.columns if name not in ("change", "seed")]
    lines = ["| all as published but | " + " | ".join(figures) + " |", "|---" * (len(figures) + 1) + "|"]
    for change, group in rows.groupby("change", sort=False):
        cells = [f"{group[name].mean():.3f} ± {group[name].std():.3f}" for name in figures]
        lines.append(f"| {change} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("analysis/results/recipe_effects.csv"))
    args = parser.parse_intermixed_args()
    rows = pd.read_csv(args.out) if args.out.is_file() else pd.DataFrame(columns=["change", "seed"])
    done = set(zip(rows["change"], rows["seed"], strict=True))
    for seed in args.seeds:
        for change in CHANGES:
            if (change, seed) not in done:
                rows = pd.concat([rows, pd.DataFrame([train(change, seed, args.overrides)])], ignore_index=True)
                rows.to_csv(args.out, index=False)
    print(table(rows))


if __name__ == "__main__":
    main()
