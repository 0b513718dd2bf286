// A race: the calls of one tenant go to two targets at once, and the first
// answer wins. Twice the price, for those to whom seconds are worth it.
//
//   [routes."gpt-5".policy_settings]
//   tenant = "trading-desk"
//   first_token_ms = 3000     # a racer slower than this is given up
#include "json.h"
#include "policy.h"

#include <stdlib.h>

static bool usable(const backstay_call_t *call, const backstay_candidate_t *candidate) {
  bool offers = (call->needs & ~candidate->offers) == 0;
  return offers && candidate->tried == 0 && !candidate->barred.is_some;
}

// Lower tiers first, then the lighter load.
static bool better(const backstay_candidate_t *a, const backstay_candidate_t *b) {
  return a->priority != b->priority ? a->priority < b->priority : a->health.load < b->health.load;
}

// Finds the two best, and returns how many there are of them.
static size_t best_two(const backstay_call_t *call, const exports_failover_list_candidate_t *all,
                       uint32_t best[2]) {
  size_t found = 0;
  for (uint32_t i = 0; i < all->len; i++) {
    if (!usable(call, &all->ptr[i])) continue;
    if (found == 0 || better(&all->ptr[i], &all->ptr[best[0]])) {
      best[1] = best[0];
      best[0] = i;
    } else if (found == 1 || better(&all->ptr[i], &all->ptr[best[1]])) {
      best[1] = i;
    }
    found++;
  }
  return found < 2 ? found : 2;
}

bool exports_failover_select_provider(exports_failover_call_t *call,
                                      exports_failover_borrow_request_t request,
                                      exports_failover_list_candidate_t *candidates,
                                      exports_failover_list_attempt_t *attempts,
                                      exports_failover_selection_t *selection) {
  (void)request;
  json settings = json_text(call->settings.ptr, call->settings.len);
  bool races = call->tenant.is_some && json_is(json_member(settings, "tenant"),
                                               call->tenant.val.ptr, call->tenant.val.len);
  // What the client already has of an answer is continued by one target only.
  if (!races || attempts->len > 0 || call->delivered > 0 || call->attempts_left < 2) return false;

  uint32_t best[2] = {0, 0};
  if (best_two(call, candidates, best) < 2) return false;
  unsigned limit = json_number(json_member(settings, "first_token_ms"), 0);

  // The host frees what is answered with, so it must come from the heap.
  backstay_launch_t *launches = calloc(2, sizeof *launches);
  for (size_t i = 0; i < 2; i++) {
    launches[i].candidate = best[i];
    launches[i].after = 0;
    launches[i].first_token_timeout.is_some = limit > 0 && limit < call->time_left;
    launches[i].first_token_timeout.val = limit;
  }
  selection->tag = BACKSTAY_SELECTION_LAUNCH;
  selection->val.launch.ptr = launches;
  selection->val.launch.len = 2;
  return true;
}

bool exports_failover_classify_error(exports_failover_call_t *call,
                                     exports_failover_list_candidate_t *candidates,
                                     exports_failover_list_attempt_t *attempts,
                                     exports_failover_ruling_t *ruling) {
  (void)call, (void)candidates, (void)attempts, (void)ruling;
  return false;
}

bool exports_failover_validate_output(exports_failover_call_t *call,
                                      exports_failover_borrow_request_t request,
                                      exports_failover_candidate_t *candidate,
                                      exports_failover_borrow_output_t output,
                                      exports_failover_verdict_t *verdict) {
  (void)call, (void)request, (void)candidate, (void)output, (void)verdict;
  return false;
}
