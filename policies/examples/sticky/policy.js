// A session stays with the target that served it: providers cache prompts, and
// a conversation that moves pays for its whole history again.
//
//     [server]
//     expose_headers = ["x-session-id"]      # so that the policy sees it
//
//     [routes."gpt-5".policy_settings]
//     label = "x-session-id"
//     minutes = 30                           # of silence end a session

import { recall, remember } from 'backstay:policy/host@0.1.0';

export const failoverPolicy = {
  selectProvider(call, _request, candidates, _attempts) {
    const session = sessionOf(call);
    if (session === undefined) return undefined;
    const usable = candidates.map((c, id) => ({ ...c, id })).filter(
      (c) => c.tried === 0 && c.barred === undefined && canServe(c, call));
    if (usable.length === 0) return undefined;
    const served = recall(session);
    const chosen = usable.find((c) => c.target === served) ?? highest(session, usable);
    return { tag: 'pick', val: chosen.id };
  },

  classifyError(_call, _candidates, _attempts) {
    return undefined;
  },

  // Asked when an answer is there: what it is worth is left to the built-in,
  // but this target is known to serve the session now.
  validateOutput(call, _request, candidate, output) {
    const session = sessionOf(call);
    if (session !== undefined && output.complete()) {
      const { minutes = 30 } = JSON.parse(call.settings);
      remember(session, candidate.target, minutes * 60_000);
    }
    return undefined;
  },
};

// Routes have targets of their own, and so sessions of their own.
function sessionOf(call) {
  const { label } = JSON.parse(call.settings);
  const found = call.labels.find(([name]) => name === label);
  return found && `session:${call.route}:${found[1]}`;
}

function canServe(candidate, call) {
  const { prefill: _, ...needs } = call.needs;
  return Object.keys(needs).every((feature) => !needs[feature] || candidate.offers[feature]);
}

// Among the first tier each session has its own order of targets (rendezvous
// hashing): when one fails only its own sessions move, and evenly.
function highest(session, usable) {
  const tier = Math.min(...usable.map((c) => c.priority));
  const score = (c) => hash(`${session} ${c.target}`);
  return usable
    .filter((c) => c.priority === tier)
    .reduce((best, c) => (score(c) > score(best) ? c : best));
}

// FNV-1a, mixed once more so that likely names do not have likely scores.
function hash(text) {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) {
    h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  }
  h = Math.imul(h ^ (h >>> 15), 0x85ebca6b);
  return (h ^ (h >>> 13)) >>> 0;
}
