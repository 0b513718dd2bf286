"""Runs named scenarios and says of each how it went, one line each:
`ok NAME`, or `not ok NAME: why`. Knows nothing of any SDK or of the gateway.
"""

from __future__ import annotations

import faulthandler
import json
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

HERE = Path(__file__).parent
# For one scenario. Each is a handful of calls on the loopback.
SCENARIO_SECONDS = 20
# For all; beyond it the interpreter says where it hangs, and ends.
RUN_SECONDS = 240
# Of what is shown of a failure.
MOST_CHARACTERS = 600


class Failed(Exception):
    """What was seen is not what was wanted."""


class TooSlow(BaseException):
    """Past every `except Exception` of an SDK: it may not be taken for one of
    its connection errors, nor be tried again."""


@dataclass(frozen=True)
class Scenario:
    name: str
    run: Callable[[], None]


@dataclass(frozen=True)
class Route:
    """A model name of the gateway's, and the dialect of its first provider."""

    name: str
    dialect: str


@dataclass(frozen=True)
class Plan:
    """What the test that starts the gateway tells the scenarios."""

    base_url: str
    key: str
    # The question, and what every provider answers to it.
    prompt: str
    answer: str
    # By what they are for; see `scenarios.py`.
    routes: dict[str, list[Route]]

    @staticmethod
    def read(text: str) -> Plan:
        given = json.loads(text)
        routes = {
            use: [Route(**route) for route in routes] for use, routes in given.pop("routes").items()
        }
        return Plan(**given, routes=routes)


def same(what: str, seen: object, wanted: object) -> None:
    if seen != wanted:
        raise Failed(f"{what} is {seen!r}, wanted {wanted!r}")


def need(fact: object, otherwise: str) -> None:
    if not fact:
        raise Failed(otherwise)


def main(scenarios: Callable[[Plan], Iterable[Scenario]]) -> NoReturn:
    """Reads the plan from standard input, and runs the scenarios whose names
    have one of the arguments in them; without arguments, all."""
    chosen = sys.argv[1:]
    faulthandler.dump_traceback_later(RUN_SECONDS, exit=True)
    signal.signal(signal.SIGALRM, _too_slow)
    plan = Plan.read(sys.stdin.read())
    wanted = [s for s in scenarios(plan) if not chosen or any(part in s.name for part in chosen)]
    sys.exit(_run_all(wanted))


def _run_all(scenarios: Sequence[Scenario]) -> int:
    failed = 0
    for scenario in scenarios:
        problem = _run(scenario)
        failed += problem is not None
        line = f"ok {scenario.name}" if problem is None else f"not ok {scenario.name}: {problem}"
        print(line, flush=True)
    print(f"# {len(scenarios)} scenarios, {failed} failed")
    # A table that came out empty would show nothing.
    return 1 if failed or not scenarios else 0


def _run(scenario: Scenario) -> str | None:
    """What went wrong, in one line."""
    signal.alarm(SCENARIO_SECONDS)
    try:
        scenario.run()
    except Failed as problem:
        return _one_line(str(problem))
    except (Exception, TooSlow) as problem:
        return _one_line(f"{type(problem).__name__}: {problem} ({_place(problem)})")
    finally:
        signal.alarm(0)
    return None


def _place(problem: BaseException) -> str:
    """The innermost line of ours that led to it."""
    frames = traceback.extract_tb(problem.__traceback__)
    ours = [frame for frame in frames if Path(frame.filename).parent == HERE]
    return f"{Path(ours[-1].filename).name}:{ours[-1].lineno}"


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MOST_CHARACTERS else f"{line[:MOST_CHARACTERS]} ..."


def _too_slow(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise TooSlow(f"not done within {SCENARIO_SECONDS} s")
