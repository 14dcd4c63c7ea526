"""The command of the ablation. Its signature is its flags, its docstring the help."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from gasl.cli.carry import options_of
from gasl.training.config import Hardware

__all__ = ["COMMANDS"]

_CHOSEN_BY = {"seeds": "screen", "lenet5": "seeds"}


def ablate(
    stage: Literal["screen", "seeds", "lenet5", "clip"] = "screen",
    dry_run: bool = False,
    show: bool = False,
    out: Path = Path("runs"),
    records: str | None = None,
    data_dir: Path | None = None,
    progress: bool = False,
    hardware: Hardware = Hardware(),  # noqa: B008 - a frozen value
) -> None:
    """Compare the readings of the paper at equal sparsity on MNIST; what is there is skipped.

    Args:
        stage: screen (every reading, one seed), seeds (the 12 best, 5 seeds), lenet5 (the 6 best of those), or clip
            (steps to a given loss with and without the paper's gradient clip).
        dry_run: Only list the runs that are missing.
        show: Only print what the records have.
        out: The folder of all runs; dense networks in it are shared, and so are the runs among several processes.
        records: The folder of the ablation's records, or an address; OUT/records/ablation by default.
        data_dir: The folder that holds the data sets; GASL_DATA by default.
        progress: Show a progress bar.
        hardware: What to train on.
    """
    from gasl.experiments.ablation_clip import missing_clips, run_clips
    from gasl.experiments.ablation_run import missing, run_stage
    from gasl.report.ablation import clip_table, table

    place = records or str(out / "records" / "ablation")
    clip = stage == "clip"
    if dry_run:
        clips = [(name, spec.seed) for name, spec in missing_clips(place)] if clip else []
        todo = clips if clip else missing(stage, place)
        print("\n".join([*(f"{name}, seed {seed}" for name, seed in todo), f"{len(todo)} runs are missing"]))
        if (before := _CHOSEN_BY.get(stage)) is not None and (open_ := missing(before, place)):
            print(f"and what stage {before} chooses: {len(open_)} of its runs are missing")
        return
    options = options_of(data_dir, progress, hardware)
    if not show and clip:
        run_clips(out, options, place)
    elif not show:
        run_stage(stage, out, options, place)
    print(clip_table(place) if clip else table(stage, place))


COMMANDS: Mapping[str, Callable[..., None]] = {"ablate": ablate}
