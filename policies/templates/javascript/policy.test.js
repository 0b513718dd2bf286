// Run with `npm test`: the policy is an ordinary module.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { failoverPolicy } from './policy.js';

const candidate = (provider, more = {}) => ({ provider, tried: 0, barred: undefined, ...more });
const select = (settings, candidates) =>
  failoverPolicy.selectProvider({ settings: JSON.stringify(settings) }, {}, candidates, []);

test('the favourite is picked while it can be used', () => {
  const settings = { favourite: 'beta' };
  assert.deepEqual(select(settings, [candidate('alpha'), candidate('beta')]), { tag: 'pick', val: 1 });
  assert.equal(select(settings, [candidate('alpha')]), undefined);
  assert.equal(select(settings, [candidate('beta', { tried: 1 })]), undefined);
  assert.equal(select(settings, [candidate('beta', { barred: 'circuit-open' })]), undefined);
  assert.equal(select({}, [candidate('beta')]), undefined);
});
