// A quality ladder: while the best model is saturated, the next smaller one
// takes the calls. Quality steps down before the service does.
//
//   [routes."gpt-5".policy_settings]
//   models = ["gpt-5", "gpt-5-mini", "gpt-5-nano"]    # best first
//   in_flight = 20        # calls under way at a target
//   requests_left = 5     # of its rate limit, where it tells
//   pause_ms = 2000       # for one that has no room
//   brief_from = 2        # from this rung on (0 is the best) answers are kept short
//   brief_at = "/max_tokens"    # where the targets of these rungs are told so
#include "json.h"
#include "policy.h"

#include <stdlib.h>

typedef struct {
  unsigned in_flight, requests_left;
} limits;

static bool saturated(const backstay_health_t *health, limits limits) {
  if (health->in_flight >= limits.in_flight) return true;
  return health->requests_left.is_some && health->requests_left.val < limits.requests_left;
}

static bool usable(const backstay_call_t *call, const backstay_candidate_t *candidate) {
  bool offers = (call->needs & ~candidate->offers) == 0;
  return offers && candidate->tried == 0 && !candidate->barred.is_some;
}

// The least loaded target with this model that has room.
static bool on_this_rung(json model, const backstay_call_t *call, limits limits,
                         const exports_failover_list_candidate_t *candidates, uint32_t *chosen) {
  bool found = false;
  for (uint32_t i = 0; i < candidates->len; i++) {
    const backstay_candidate_t *candidate = &candidates->ptr[i];
    if (!json_is(model, candidate->model.ptr, candidate->model.len)) continue;
    if (!usable(call, candidate) || saturated(&candidate->health, limits)) continue;
    if (found && candidate->health.load >= candidates->ptr[*chosen].health.load) continue;
    *chosen = i;
    found = true;
  }
  return found;
}

// Tokens that are enough on a lower rung: short answers free it sooner.
#define BRIEF 512
#define TEXT_OF(number) #number
#define AS_TEXT(number) TEXT_OF(number)

// Where the answer's limit goes: an edit is made last, so in the words of the
// target. That is where the settings say; else where the request itself has
// its limit, if the target speaks the same dialect. Not known: no text.
static json limit_at(json settings, exchange_borrow_request_t request) {
  static const char *const fields[] = {"/max_completion_tokens", "/max_tokens", "/max_output_tokens"};
  json at = json_member(settings, "brief_at");
  if (at.at != NULL && *at.at == '"') return (json){at.at + 1, at.end - 1};
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
    policy_string_t pointer, found;
    policy_string_set(&pointer, fields[i]);
    if (exchange_method_request_json(request, &pointer, &found)) {
      return json_text(fields[i], strlen(fields[i]));
    }
  }
  return JSON_NOTHING;
}

// A launch that asks a lower rung for less.
static void launch_briefly(uint32_t candidate, json at, exports_failover_selection_t *selection) {
  backstay_launch_t *launch = calloc(1, sizeof *launch);
  backstay_edit_t *edit = calloc(1, sizeof *edit);
  policy_string_dup_n(&edit->pointer, at.at, (size_t)(at.end - at.at));
  edit->value.is_some = true;
  policy_string_dup(&edit->value.val, AS_TEXT(BRIEF));
  launch->candidate = candidate;
  launch->edits.ptr = edit;
  launch->edits.len = 1;
  selection->tag = BACKSTAY_SELECTION_LAUNCH;
  selection->val.launch.ptr = launch;
  selection->val.launch.len = 1;
}

// Sends the call there, with a shorter answer if it is to be brief and is not.
static void send(uint32_t candidate, bool brief, const backstay_call_t *call, json limit,
                 exports_failover_selection_t *selection) {
  bool is_brief = call->max_output_tokens.is_some && call->max_output_tokens.val <= BRIEF;
  if (brief && !is_brief && limit.at != NULL) {
    launch_briefly(candidate, limit, selection);
  } else {
    selection->tag = BACKSTAY_SELECTION_PICK;
    selection->val.pick = candidate;
  }
}

bool exports_failover_select_provider(exports_failover_call_t *call,
                                      exports_failover_borrow_request_t request,
                                      exports_failover_list_candidate_t *candidates,
                                      exports_failover_list_attempt_t *attempts,
                                      exports_failover_selection_t *selection) {
  (void)attempts;
  json settings = json_text(call->settings.ptr, call->settings.len);
  json models = json_member(settings, "models");
  limits limits = {
      json_number(json_member(settings, "in_flight"), 20),
      json_number(json_member(settings, "requests_left"), 1),
  };
  const char *at = NULL;
  unsigned rung = 0;
  for (json model; json_next(models, &at, &model); rung++) {
    uint32_t chosen;
    if (!on_this_rung(model, call, limits, candidates, &chosen)) continue;
    bool brief = rung >= json_number(json_member(settings, "brief_from"), (unsigned)-1);
    json limit = brief ? limit_at(settings, request) : JSON_NOTHING;
    send(chosen, brief, call, limit, selection);
    return true;
  }
  return false; // Every rung is full: the built-in knows whom to overload.
}

// No room is no illness: it does not count against the target, which is left
// alone for a while, and the next rung is asked.
bool exports_failover_classify_error(exports_failover_call_t *call,
                                     exports_failover_list_candidate_t *candidates,
                                     exports_failover_list_attempt_t *attempts,
                                     exports_failover_ruling_t *ruling) {
  (void)candidates;
  const backstay_failure_t *failure = &attempts->ptr[attempts->len - 1].failure.val;
  if (failure->failure_class != BACKSTAY_FAILURE_CLASS_OVERLOADED &&
      failure->failure_class != BACKSTAY_FAILURE_CLASS_RATE_LIMITED)
    return false;
  json settings = json_text(call->settings.ptr, call->settings.len);
  unsigned pause = json_number(json_member(settings, "pause_ms"), 2000);
  bool asked = failure->retry_after.is_some && failure->retry_after.val > pause;
  ruling->failure_class = failure->failure_class;
  ruling->counts = false;
  ruling->cooldown = asked ? failure->retry_after.val : pause;
  ruling->next.tag = BACKSTAY_NEXT_STEP_RESELECT;
  return true;
}

bool exports_failover_validate_output(exports_failover_call_t *call,
                                      exports_failover_borrow_request_t request,
                                      exports_failover_candidate_t *candidate,
                                      exports_failover_borrow_output_t output,
                                      exports_failover_verdict_t *verdict) {
  (void)call, (void)request, (void)candidate, (void)output, (void)verdict;
  return false;
}
