// A failover policy. Each function may return `undefined`, which leaves the
// decision to the built-in: a policy says only what it wants otherwise.
//
// This one sends calls to the provider that the route's settings name as
// `favourite`, while that can be used. What a policy is told and what it may
// answer is in `wit/failover-policy.wit`; here names are in camelCase, an
// option that is not set is `undefined`, and a variant is `{ tag, val }`.

export const failoverPolicy = {
  /** Where to send the call. */
  selectProvider(call, _request, candidates, _attempts) {
    const { favourite } = JSON.parse(call.settings);
    const canServe = (c) => Object.keys(call.needs).every((n) => !call.needs[n] || c.offers[n]);
    const usable = (c) => c.tried === 0 && c.barred === undefined && canServe(c);
    const position = candidates.findIndex((c) => c.provider === favourite && usable(c));
    return position < 0 ? undefined : { tag: 'pick', val: position };
  },

  /** What a failed attempt means, and what follows from it. */
  classifyError(_call, _candidates, _attempts) {
    return undefined;
  },

  /** Whether an answer may be delivered. */
  validateOutput(_call, _request, _candidate, _output) {
    return undefined;
  },
};
