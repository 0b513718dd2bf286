"""A failover policy. Each method may return None, which leaves the decision to
the built-in: a policy says only what it wants otherwise.

This one sends calls to the provider that the route's settings name as
`favourite`, while that can be used. What a policy is told and what it may
answer is in `wit/failover-policy.wit`; here names are in snake_case, an option
that is not set is None, and a case of a variant is a class of its own.
"""

import json

from wit_world import exports
from wit_world.imports import types


class FailoverPolicy(exports.FailoverPolicy):
    def select_provider(self, call, request, candidates, attempts):
        """Where to send the call."""
        favourite = json.loads(call.settings).get("favourite")
        for position, candidate in enumerate(candidates):
            usable = candidate.tried == 0 and candidate.barred is None
            can_serve = call.needs in candidate.offers
            if usable and can_serve and candidate.provider == favourite:
                return types.Selection_Pick(position)
        return None

    def classify_error(self, call, candidates, attempts):
        """What a failed attempt means, and what follows from it."""
        return None

    def validate_output(self, call, request, candidate, output):
        """Whether an answer may be delivered."""
        return None
