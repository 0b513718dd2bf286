"""Business hours, and data that stays in its region.

    [server]
    expose_headers = ["x-data-region"]     # so that the policy sees it

    [routes."gpt-5".policy_settings]
    region_label = "x-data-region"         # of a call ...
    tenant_regions = { acme = "eu" }       # ... or of all calls of a tenant
    regions = { eu = ["mistral", "azure-eu"] }
    night_providers = ["local"]            # first choice outside of hours
    hours = { from = 8, to = 18, days = [0, 1, 2, 3, 4], utc_offset = 1 }

Hours that begin later than they end go over midnight, and are those of the day
they begin on. The offset is a fixed one: it knows no summer time.

A policy that fails is overruled by the built-in, which knows no regions. Data
that must never leave one belongs to a route that has no targets elsewhere.
"""

import json
from datetime import datetime, timedelta

from wit_world import exports
from wit_world.imports import types
from wit_world.imports.types import FailureClass


class FailoverPolicy(exports.FailoverPolicy):
    def select_provider(self, call, request, candidates, attempts):
        settings = json.loads(call.settings)
        allowed = allowed_providers(call, settings)
        usable = [
            position
            for position, candidate in enumerate(candidates)
            if candidate.barred is None
            and call.needs & ~types.Features.PREFILL in candidate.offers
            and (allowed is None or candidate.provider in allowed)
        ]
        night = [] if is_open(call.now, settings) else settings.get("night_providers", [])
        at_night = [
            position
            for position in usable
            if candidates[position].provider in night and candidates[position].tried == 0
        ]
        if at_night:
            return types.Selection_Pick(best(at_night, candidates))
        if allowed is None:
            return None
        if usable:
            return types.Selection_Pick(best(usable, candidates))
        # An answer from elsewhere would be worse than none.
        refusal = types.Refusal(
            503, "region_unavailable", "no provider in the region of this data can answer now", 5_000
        )
        return types.Selection_Refuse(refusal)

    def classify_error(self, call, candidates, attempts):
        """Where only one provider is allowed, it is worth a second try."""
        failure = attempts[-1].failure
        allowed = allowed_providers(call, json.loads(call.settings))
        transient = (FailureClass.NETWORK, FailureClass.OVERLOADED, FailureClass.SERVER_ERROR)
        if allowed is None or len(allowed) > 1 or failure.failure_class not in transient:
            return None
        if candidates[attempts[-1].candidate].tried > 1 or call.attempts_left == 0:
            return types.Ruling(failure.failure_class, True, 0, types.NextStep_Surface())
        return types.Ruling(failure.failure_class, True, 0, types.NextStep_Retry(0))

    def validate_output(self, call, request, candidate, output):
        return None


def allowed_providers(call, settings):
    """Where this call's data may go; None is anywhere. An unknown region has
    no providers: a misspelt one must not open the door to all."""
    labelled = dict(call.labels).get(settings.get("region_label"))
    region = settings.get("tenant_regions", {}).get(call.tenant, labelled)
    return None if region is None else settings.get("regions", {}).get(region, [])


def is_open(now, settings):
    """The gateway says what time it is: a policy has no clock."""
    hours = settings.get("hours")
    if hours is None:
        return True
    local = datetime(1970, 1, 1) + timedelta(milliseconds=now, hours=hours.get("utc_offset", 0))
    if hours["from"] < hours["to"]:
        return local.weekday() in hours["days"] and hours["from"] <= local.hour < hours["to"]
    # Over midnight: until they end, the hours are those of the day before.
    opened = local if local.hour >= hours["from"] else local - timedelta(days=1)
    is_within = local.hour >= hours["from"] or local.hour < hours["to"]
    return is_within and opened.weekday() in hours["days"]


def best(positions, candidates):
    """By tier, then by load; those already tried come last."""
    return min(
        positions,
        key=lambda p: (candidates[p].tried, candidates[p].priority, candidates[p].health.load),
    )
