"""Results for people."""

from __future__ import annotations

from collections.abc import Sequence

from pellucid.bench import quiet
from pellucid.bench.measure import OURS, Result
from pellucid.bench.timing import Spread


def header(results: Sequence[Result]) -> list[str]:
    """The table's header; without PyTorch, only our own columns."""
    first = ["workload", "run", "batch", "Pellucid", "of peak"]
    if any(r.product_share is not None for r in results):
        first.append("its product, of peak")
    if any(r.best or r.failed for r in results):
        first += ["PyTorch", "its mode", "speed ratio"]
    return [*first, "difference", *(["memory"] if any(r.memory for r in results) else [])]


def rows(results: Sequence[Result]) -> list[list[str]]:
    """One row for each workload."""
    return [_row(result, header(results)) for result in results]


def _row(result: Result, columns: Sequence[str]) -> list[str]:
    cells = {
        "workload": result.name,
        "run": result.what,
        "batch": str(result.batch),
        "Pellucid": spread(result.ours),
        "of peak": f"{100 * result.share:.1f}%" if result.share <= 1 else "MORE THAN THE PEAK",
        "its product, of peak": "" if result.product_share is None else f"{100 * result.product_share:.1f}%",
        "PyTorch": spread(result.times[result.best]) if result.best else "did not run",
        "its mode": result.best or "",
        "speed ratio": _ratio(result),
        "difference": f"{result.distance:.0e}" if result.correct else f"WRONG ({result.where}: {result.distance:.0e})",
        "memory": _memory(result),
    }
    return [cells[column] for column in columns]


def _ratio(result: Result) -> str:
    if result.ratio is None:
        return "no result" if not result.correct else ""
    return f"{result.ratio.median:.2f}x ({result.ratio.lower:.2f}-{result.ratio.upper:.2f})"


def _memory(result: Result) -> str:
    known = [f"{bytes_ / 1e6:.0f} MB" if bytes_ else "?" for bytes_ in result.memory.values()]
    return " / ".join(known)


def spread(times: Spread) -> str:
    """A median with its quartiles, in the unit that fits."""
    scale, unit = (1e6, "us") if times.median < 1e-3 else (1e3, "ms")
    median, lower, upper = (_short(scale * t) for t in (times.median, times.lower, times.upper))
    return f"{median} {unit} ({lower}-{upper})"


def _short(number: float) -> str:
    """Three digits."""
    return f"{number:.0f}" if number >= 100 else f"{number:.1f}" if number >= 10 else f"{number:.2f}"


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The table as Markdown, for documents."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def remarks(results: Sequence[Result]) -> list[str]:
    """What the table does not say: modes that did not run, times of all that did."""
    lines = [
        f"{r.name}, {r.what}, batch {r.batch}: other programs took {100 * r.others:.0f}% of the processors' time"
        for r in results
        if r.others is not None and r.others > quiet.CALM
    ]
    for mode in dict.fromkeys(mode for r in results for mode in r.failed):
        reasons = dict.fromkeys(r.failed[mode] for r in results if mode in r.failed)
        lines += [f"PyTorch's mode {mode} did not count: {reason}" for reason in reasons]
    for result in results:
        others = [f"{name} {spread(time)}" for name, time in result.times.items() if name not in (*OURS, result.best)]
        if others:
            lines.append(f"{result.name}, {result.what}, batch {result.batch}: {', '.join(others)}")
    return lines
