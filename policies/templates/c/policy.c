// A failover policy. Each function may return false, which leaves the decision
// to the built-in: a policy says only what it wants otherwise.
//
// This one sends calls to the provider that the route's settings name as
// `favourite`, while that can be used. What a policy is told and what it may
// answer is in `wit/failover-policy.wit`, and in C in `contract/policy.h`.
#include "json.h"
#include "policy.h"

static bool usable(const backstay_call_t *call, const backstay_candidate_t *candidate) {
  bool offers = (call->needs & ~candidate->offers) == 0;
  return offers && candidate->tried == 0 && !candidate->barred.is_some;
}

// Where to send the call.
bool exports_failover_select_provider(exports_failover_call_t *call,
                                      exports_failover_borrow_request_t request,
                                      exports_failover_list_candidate_t *candidates,
                                      exports_failover_list_attempt_t *attempts,
                                      exports_failover_selection_t *selection) {
  (void)request, (void)attempts;
  json favourite = json_member(json_text(call->settings.ptr, call->settings.len), "favourite");
  for (uint32_t i = 0; i < candidates->len; i++) {
    backstay_candidate_t *candidate = &candidates->ptr[i];
    policy_string_t provider = candidate->provider;
    if (usable(call, candidate) && json_is(favourite, provider.ptr, provider.len)) {
      selection->tag = BACKSTAY_SELECTION_PICK;
      selection->val.pick = i;
      return true;
    }
  }
  return false;
}

// What a failed attempt means, and what follows from it.
bool exports_failover_classify_error(exports_failover_call_t *call,
                                     exports_failover_list_candidate_t *candidates,
                                     exports_failover_list_attempt_t *attempts,
                                     exports_failover_ruling_t *ruling) {
  (void)call, (void)candidates, (void)attempts, (void)ruling;
  return false;
}

// Whether an answer may be delivered.
bool exports_failover_validate_output(exports_failover_call_t *call,
                                      exports_failover_borrow_request_t request,
                                      exports_failover_candidate_t *candidate,
                                      exports_failover_borrow_output_t output,
                                      exports_failover_verdict_t *verdict) {
  (void)call, (void)request, (void)candidate, (void)output, (void)verdict;
  return false;
}
