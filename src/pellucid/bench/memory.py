"""The peak memory of one side, measured in a process of its own: `python -m pellucid.bench.memory` is that process."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from pellucid.bench import opponent, ours
from pellucid.bench.workloads import Network

STEPS = 5
TIME_LIMIT = 300.0


def peak(workload: Network, threads: int, side: str) -> int | None:
    """Bytes that a new process needed at most to run some steps, Python and libraries included; None if not known."""
    order = json.dumps({"workload": asdict(workload), "threads": threads, "side": side})
    command = [sys.executable, "-m", "pellucid.bench.memory", order]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIME_LIMIT, check=True)
        answer = json.loads(done.stdout)
    except (subprocess.SubprocessError, ValueError):
        return None
    return answer if isinstance(answer, int) else None


def high_water() -> int | None:
    """The most memory (bytes) that this process has had at a time; None where the system does not tell.

    Linux's own figure: `getrusage` would tell the parent's, if that had more when it started this process.
    """
    try:
        text = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return None
    lines = [line for line in text.splitlines() if line.startswith("VmHWM:")]
    return int(lines[0].split()[1]) * 1024 if lines else None


def main() -> None:
    """Run a side as ordered in the first argument, print its high-water mark."""
    order = json.loads(sys.argv[1])
    workload = Network(**order["workload"])
    if order["side"] == "native":
        side = ours.prepare(workload, order["threads"], results=False)
    else:
        opponent.start(order["threads"])
        side = opponent.prepare(workload, order["side"], results=False)
    for _ in range(STEPS):
        side.run()
    print(json.dumps(high_water()))
    side.close()


if __name__ == "__main__":
    main()
