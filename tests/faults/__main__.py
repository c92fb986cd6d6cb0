"""`python -m tests.faults`: attacks whole systems, and reports what held.

It needs `pip install .[test]`, RabbitMQ, NGINX and strace. On two cores, the long profile takes about two and a half
hours, and less than one with `--jobs 4`.
"""

import argparse
import datetime
import random
import shutil
import sys
import tempfile
from pathlib import Path

import msgspec

from core.broker.rabbitmq import quiet_pika
from core.config import whole_number
from tests.benchmarks import machine
from tests.faults import campaign, catalogue, report_text, side_by_side
from tests.faults.progress import show_progress
from tests.faults.values import CaseResult, Profile, Report


def main() -> int:
    """Run the campaign. Returns 1 when an invariant did not hold."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults", description="Attack whole systems, and report what held."
    )
    parser.add_argument("--profile", choices=[*Profile], default=Profile.QUICK, help="how much to do (default: quick)")
    parser.add_argument(
        "--seed", type=int, help="seed of the random numbers; the same seed makes the same faults (default: a new one)"
    )
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="WORD",
        help="run only the cases whose names contain this; may be repeated",
    )
    parser.add_argument(
        "--jobs", type=whole_number(1, 64), default=1, metavar="N", help="number of cases at once (default: 1)"
    )
    parser.add_argument("--list", action="store_true", help="list the cases and exit")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write FILE.json and FILE.md")
    arguments = parser.parse_args()
    profile = Profile(arguments.profile)
    cases = catalogue.cases_of(profile, arguments.only)
    missing = {program for case in cases for program in case.programs if shutil.which(program) is None}
    if arguments.list:
        for case in cases:
            print(f"{case.name}: {case.target}")
        return 0
    if not cases:
        parser.error(f"no case of the {profile} profile has {arguments.only} in its name; see --list")
    for case in [case for case in cases if missing & set(case.programs)]:
        show_progress(f"{case.name} is skipped: it needs {', '.join(sorted(missing & set(case.programs)))}")
        cases.remove(case)
    quiet_pika()
    seed = random.SystemRandom().randrange(2**31) if arguments.seed is None else arguments.seed
    print(f"seed {seed}", flush=True)
    directory = Path(tempfile.mkdtemp(prefix="cauce-faults-"))
    results = []
    finished = (
        campaign.run(cases, profile, seed, directory, show_progress)
        if arguments.jobs == 1
        else side_by_side.run(cases, profile, seed, directory, arguments.jobs)
    )
    for result in finished:
        print(report_text.describe(result), flush=True)
        results.append(result)
    order = [case.name for case in cases]
    results.sort(key=lambda result: order.index(result.case))
    report = _report(profile, seed, results, directory)
    if arguments.report:
        arguments.report.with_suffix(".json").write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
        arguments.report.with_suffix(".md").write_text(report_text.markdown(report), "utf-8")
    if report.passed:
        directory.rmdir()
        return 0
    print(f"the files of the failed cases are in {directory}", file=sys.stderr)
    return 1


def _report(profile: Profile, seed: int, results: list[CaseResult], directory: Path) -> Report:
    host = machine.inspect(directory, machine.load(), {})
    return Report(
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        command="python -m tests.faults " + " ".join(sys.argv[1:]),
        profile=profile,
        seed=seed,
        machine=f"{host.cores} × {host.processor}, {host.memory_gib:g} GiB, {host.file_system}",
        lines=tuple(results),
    )


if __name__ == "__main__":
    sys.exit(main())
