"""A plan in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from atrcnas.planning.cheaper import Saving
from atrcnas.planning.job import COMMITTED, Plan, StagePlan

ALL_APART = (
    "Where tasks will part is not known yet: what follows is planned with all of them apart, which no tree exceeds."
)


def lines(plan: Plan, savings: Sequence[Saving]) -> Iterator[str]:
    """What the job costs, what was assumed, and what would make it cheaper."""
    size = "x".join(map(str, plan.image_size))
    yield f"{plan.experiment} on {plan.device}, {plan.threads} threads"
    yield f"answer: {plan.parameters / 1e6:.2f} M parameters, {plan.multiply_adds / 1e9:.2f} G multiply-adds at {size}"
    yield ""
    yield f"{'':10} {'steps':>9} {'a step':>10} {'waits':>10} {'mult-adds':>10} {'trained':>9} {'memory':>9} {'in all':>10}"
    if plan.branches is not None:
        yield _row("branches", plan.branches)
    if plan.search is not None:
        yield _row("search", plan.search)
    if plan.trials_s:
        yield f"{'trials':10} {'':>9} {'':>10} {'':>10} {'':>10} {'':>9} {'':>9} {duration(plan.trials_s):>10}"
    yield _row("retrain", plan.retrain)
    yield f"{'evaluate':10} {'':>9} {'':>10} {'':>10} {'':>10} {'':>9} {'':>9} {duration(plan.evaluate_s):>10}"
    yield ""
    yield f"the whole job: {duration(plan.seconds)}, {plan.peak_mib:.0f} MiB of memory, {plan.disk_mib:.0f} MiB on the disk"
    sustained = 2 * plan.retrain.multiply_adds / plan.retrain.step_s / 1e12
    yield f"sustained here: {sustained:.2g} TFLOP/s in a step of the retraining (of another device, for --like)"
    yield from _assumed(plan)
    if savings:
        yield ""
        yield "cheaper:"
    for one in savings:
        yield f"  {one.overrides:40} {_saved(one)}; {one.note}"


def _row(name: str, stage: StagePlan) -> str:
    return (
        f"{name:10} {stage.steps:>9} {duration(stage.step_s):>10} {duration(stage.waiting_s):>10} "
        f"{stage.multiply_adds / 1e9:>8.1f} G {stage.parameters / 1e6:>7.2f} M {stage.peak_mib:>5.0f} MiB "
        f"{duration(stage.seconds):>10}"
    )


def _assumed(plan: Plan) -> Iterator[str]:
    yield "Without figures and export. The machine is as busy as now; memory is this process's, without loader processes."
    if plan.search is not None:
        yield (
            f"Assumed: an answer with an even mix of the space's kinds; with the estimator soft, {COMMITTED:.0%} of the "
            "pairs committed in a mean step."
        )
    if plan.branches is not None:
        yield ALL_APART


def _saved(one: Saving) -> str:
    time = f"{duration(one.seconds)} less" if one.seconds >= 0 else f"{duration(-one.seconds)} more"
    if abs(one.mib) < 1:
        return time
    return f"{time}, {abs(one.mib):.0f} MiB {'less' if one.mib > 0 else 'more'}"


def duration(seconds: float) -> str:
    """In the unit that suits it: 12 ms, 3.4 s, 5 min, 2.5 h."""
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
