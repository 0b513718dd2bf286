"""When everything is down: wait if it will not take long, store the call if it
can be answered later, and else answer from a can.

    [routes."support-bot".policy_settings]
    answer = "I cannot answer right now. Write to help@example.com."
    wait_up_to_ms = 2000        # a call waits no longer than this, all in all
    later_label = "x-answer-later"
"""

import json

from wit_world import exports
from wit_world.imports import host, types
from wit_world.imports.types import Bar, FailureClass

# What time mends, unlike a key that was rejected.
PASSING = (Bar.CIRCUIT_OPEN, Bar.COOLING_DOWN, Bar.FULL)


class FailoverPolicy(exports.FailoverPolicy):
    def select_provider(self, call, request, candidates, attempts):
        settings = json.loads(call.settings)
        answer = settings.get("answer")
        something_works = any(candidate.barred is None for candidate in candidates)
        is_text = call.operation in (types.Operation.CHAT, types.Operation.RESPONSES)
        # What the client already has of an answer cannot become another one,
        # and a text is no embedding.
        if answer is None or something_works or call.delivered > 0 or not is_text:
            return None
        recovery = [c.health.cooldown for c in candidates if c.barred in PASSING]
        soonest = max(min(recovery), 50) if recovery else None
        most = settings.get("wait_up_to_ms", 2_000)
        if soonest is not None and soonest <= min(most, call.time_left - 1):
            # With what it waited before.
            if host.tally(f"waited:{call.id}", soonest, call.time_left) <= most:
                return types.Selection_Wait(soonest)
        if dict(call.labels).get(settings.get("later_label")) == "yes":
            return types.Selection_Defer()
        host.log(host.Level.WARN, f"answered from a can: {len(candidates)} targets are down")
        return types.Selection_Answer(answer)

    def classify_error(self, call, candidates, attempts):
        """A request that is wrong is wrong everywhere: no can for that."""
        failure = attempts[-1].failure
        if failure.failure_class != FailureClass.BAD_REQUEST:
            return None
        return types.Ruling(failure.failure_class, False, 0, types.NextStep_Surface())

    def validate_output(self, call, request, candidate, output):
        return None
