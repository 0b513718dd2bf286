// Answers that were to be JSON are JSON. A model that puts its answer between
// ``` fences meant well: they are taken off (`amend`). An answer that breaks
// the contract in the route's settings is rejected, and the next target asked.
//
//     [routes."extract"]
//     hold = "all"            # also streams are whole before they are judged
//
//     [routes."extract".policy_settings.schema]
//     type = "object"
//     required = ["name", "total"]

const MOST_BYTES = 256 * 1024;
const FENCE = '```';

export const failoverPolicy = {
  selectProvider(_call, _request, _candidates, _attempts) {
    return undefined;
  },

  classifyError(_call, _candidates, _attempts) {
    return undefined;
  },

  validateOutput(call, _request, _candidate, output) {
    const { schema } = JSON.parse(call.settings);
    const promised = schema !== undefined || call.needs.jsonSchema;
    const whole = output.complete() && output.textLength() <= MOST_BYTES;
    if (!promised || !whole || output.toolCalls().length > 0) return undefined;
    const text = output.text(0, MOST_BYTES);
    const inner = withoutFences(text);
    // What the client already has cannot be mended any more.
    if (inner !== undefined && call.delivered === 0) return amended(inner, schema);
    // What the client itself asked for the built-in checks.
    if (schema === undefined) return undefined;
    const problems = output.violations(JSON.stringify(schema));
    return problems.length === 0 ? { tag: 'accept' } : rejected(problems[0]);
  },
};

// What stands between the first fence and the last, if the text has them and
// no JSON around them.
function withoutFences(text) {
  const opens = text.indexOf(FENCE);
  const begins = text.indexOf('\n', opens);
  const ends = text.lastIndexOf(FENCE);
  if (opens < 0 || begins < 0 || ends < begins) return undefined;
  const language = text.slice(opens + FENCE.length, begins).trim();
  const around = text.slice(0, opens) + text.slice(ends + FENCE.length);
  if (/[^a-z]/i.test(language) || /[{}[\]]/.test(around)) return undefined;
  return text.slice(begins, ends).trim();
}

// The gateway checks a schema against the answer as it came; of the amended
// text this looks itself whether it is JSON and has what is required.
function amended(inner, schema) {
  let value;
  try {
    value = JSON.parse(inner);
  } catch {
    return rejected('between the fences is no JSON');
  }
  const missing = (schema?.required ?? []).filter((name) => value?.[name] === undefined);
  return missing.length === 0 ? { tag: 'amend', val: inner } : rejected(`${missing[0]} is missing`);
}

// It does not count against the target: it is not unwell, only careless.
function rejected(reason) {
  return { tag: 'reject', val: { reason, counts: false } };
}
