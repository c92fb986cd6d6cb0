"""`python -m tests.faults`: attack whole systems, and say what held.

It needs `pip install .[test]`, RabbitMQ, NGINX and strace. The long profile takes about two hours and a half, and with
`--jobs 4` less than one, on two cores.
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
from tests.faults import campaign, catalogue, side_by_side, wording
from tests.faults.progress import say
from tests.faults.values import Line, Profile, Report


def main() -> int:
    """Run what the command line asks for; 1 when something did not hold."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults", description="Attack whole systems, and say what held."
    )
    parser.add_argument("--profile", choices=[*Profile], default=Profile.QUICK, help="how much (default: quick)")
    parser.add_argument("--seed", type=int, help="of chance; the same seed makes the same faults (default: a new one)")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="WORD",
        help="only the cases whose names hold this, or another such",
    )
    parser.add_argument(
        "--jobs", type=whole_number(1, 64), default=1, metavar="N", help="so many cases at once (default: 1)"
    )
    parser.add_argument("--list", action="store_true", help="say which cases there are, and end")
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
        parser.error(f"no case of the {profile} profile has any of {arguments.only} in its name; see --list")
    for case in [case for case in cases if missing & set(case.programs)]:
        say(f"{case.name} is left out: it needs {', '.join(sorted(missing & set(case.programs)))}")
        cases.remove(case)
    quiet_pika()
    seed = random.SystemRandom().randrange(2**31) if arguments.seed is None else arguments.seed
    print(f"seed {seed}", flush=True)
    directory = Path(tempfile.mkdtemp(prefix="cauce-faults-"))
    lines = []
    ends = (
        campaign.run(cases, profile, seed, directory, say)
        if arguments.jobs == 1
        else side_by_side.run(cases, profile, seed, directory, arguments.jobs)
    )
    for line in ends:
        print(wording.describe(line), flush=True)
        lines.append(line)
    order = [case.name for case in cases]
    lines.sort(key=lambda line: order.index(line.case))
    report = _report(profile, seed, lines, directory)
    if arguments.report:
        arguments.report.with_suffix(".json").write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
        arguments.report.with_suffix(".md").write_text(wording.markdown(report), "utf-8")
    if report.passed:
        directory.rmdir()
        return 0
    print(f"what did not hold left its files in {directory}", file=sys.stderr)
    return 1


def _report(profile: Profile, seed: int, lines: list[Line], directory: Path) -> Report:
    looked = machine.look(directory, machine.load(), {})
    return Report(
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        command="python -m tests.faults " + " ".join(sys.argv[1:]),
        profile=profile,
        seed=seed,
        machine=f"{looked.cores} × {looked.processor}, {looked.memory_gib:g} GiB, {looked.file_system}",
        lines=tuple(lines),
    )


if __name__ == "__main__":
    sys.exit(main())
