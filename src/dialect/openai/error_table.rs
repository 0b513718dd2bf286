//! What the errors of `OpenAI` and of servers that speak its dialect mean: data,
//! in the order of judgement. Messages count only with the statuses they come
//! with, since providers echo prompts in errors.

use crate::dialect::errors::{Matcher, Rule, Table, begins, code, code_at, kind, says};
use crate::failover::classify::FailureClass;

pub const TABLE: Table = Table { rules: RULES, without_status: WITHOUT_STATUS };

/// Refusals of the request itself.
const REFUSED: &[u16] = &[400, 403, 404, 413, 422];
/// Some servers answer an overlong input with 500 or with 429.
const LENGTH: &[u16] = &[400, 413, 422, 429, 500];
const MONEY: &[u16] = &[400, 402, 403, 429];
const KEY: &[u16] = &[400, 401, 403];
const BUSY: &[u16] = &[429, 500, 502, 503, 504, 529];
const LIMITED: &[u16] = &[429, 500, 503];

const RULES: &[Rule] = &[
    // Money. OpenRouter's limit on what is under way passes by itself.
    code("openrouter_in_flight_budget", FailureClass::RateLimited),
    code("insufficient_quota", FailureClass::Quota),
    code("credit_balance_exhausted", FailureClass::Quota),
    code("organization_spend_limit_exceeded", FailureClass::Quota),
    code("project_spend_limit_exceeded", FailureClass::Quota),
    code("organization_usage_limit_exceeded", FailureClass::Quota),
    code("enforced_spend_limit_reached", FailureClass::Quota),
    code("contract_spend_limit_reached", FailureClass::Quota),
    code("linked_organization_spend_limit_reached", FailureClass::Quota),
    code("billing_hard_limit_reached", FailureClass::Quota),
    code("billing_not_active", FailureClass::Quota),
    code("insufficient_balance", FailureClass::Quota),
    kind("billing_error", FailureClass::Quota),
    // Google names the limit, and says "quota" also of those per minute.
    code_at(&[429], Matcher::Contains("perday"), FailureClass::Quota),
    code("resource_exhausted", FailureClass::RateLimited),
    says(MONEY, "exceeded your current quota", FailureClass::Quota),
    says(MONEY, "credit balance is too low", FailureClass::Quota),
    says(MONEY, "insufficient balance", FailureClass::Quota),
    says(MONEY, "insufficient credits", FailureClass::Quota),
    says(MONEY, "requires more credits", FailureClass::Quota),
    says(MONEY, "specified api usage limits", FailureClass::Quota),
    // Too long. A single request above the limit per minute comes as a 429.
    code("string_above_max_length", FailureClass::BadRequest),
    code("context_length_exceeded", FailureClass::ContextLength),
    code("exceed_context_size_error", FailureClass::ContextLength),
    code("request_too_large", FailureClass::ContextLength),
    begins(LENGTH, "request too large", FailureClass::ContextLength),
    says(LENGTH, "maximum context length", FailureClass::ContextLength),
    says(LENGTH, "prompt is too long", FailureClass::ContextLength),
    says(LENGTH, "exceed context limit", FailureClass::ContextLength),
    says(LENGTH, "exceeds the maximum number of tokens", FailureClass::ContextLength),
    says(LENGTH, "requested token count exceeds", FailureClass::ContextLength),
    says(LENGTH, "input tokens exceed", FailureClass::ContextLength),
    says(LENGTH, "exceeds the available context size", FailureClass::ContextLength),
    says(LENGTH, "longer than the model's context length", FailureClass::ContextLength),
    says(LENGTH, "longer than the maximum model length", FailureClass::ContextLength),
    says(LENGTH, "too large for model with", FailureClass::ContextLength),
    says(LENGTH, "reduce the length of the messages", FailureClass::ContextLength),
    says(LENGTH, "too large to process", FailureClass::ContextLength),
    says(LENGTH, "payload size exceeds", FailureClass::ContextLength),
    says(LENGTH, "while limit is", FailureClass::ContextLength),
    // Filters.
    code("content_policy_violation", FailureClass::ContentFilter),
    code("content_filter", FailureClass::ContentFilter),
    code("responsibleaipolicyviolation", FailureClass::ContentFilter),
    code("invalid_prompt", FailureClass::ContentFilter),
    code("cyber_policy", FailureClass::ContentFilter),
    code("moderation_blocked", FailureClass::ContentFilter),
    code("data_inspection_failed", FailureClass::ContentFilter),
    says(REFUSED, "content management policy", FailureClass::ContentFilter),
    says(REFUSED, "content filtering policy", FailureClass::ContentFilter),
    says(REFUSED, "our safety system", FailureClass::ContentFilter),
    says(REFUSED, "your input was flagged", FailureClass::ContentFilter),
    says(REFUSED, "content exists risk", FailureClass::ContentFilter),
    // The credential, and what it may do.
    code("unsupported_country_region_territory", FailureClass::Permission),
    code("organization_on_hold", FailureClass::Permission),
    code("service_disabled", FailureClass::Permission),
    code("ip_not_authorized", FailureClass::Permission),
    says(&[401], "ip address", FailureClass::Permission),
    says(&[400], "user location is not supported", FailureClass::Permission),
    code("invalid_api_key", FailureClass::Authentication),
    code("api_key_invalid", FailureClass::Authentication),
    code("account_deactivated", FailureClass::Authentication),
    kind("authentication_error", FailureClass::Authentication),
    says(KEY, "api key not valid", FailureClass::Authentication),
    says(KEY, "invalid api key", FailureClass::Authentication),
    says(KEY, "incorrect api key", FailureClass::Authentication),
    says(KEY, "api key expired", FailureClass::Authentication),
    // No capacity.
    code("slow_down", FailureClass::Overloaded),
    code("server_is_overloaded", FailureClass::Overloaded),
    code("engine_overloaded", FailureClass::Overloaded),
    code("engine_overloaded_error", FailureClass::Overloaded),
    code("overloaded_error", FailureClass::Overloaded),
    code("capacity_exceeded", FailureClass::Overloaded),
    code("unavailable_error", FailureClass::Overloaded),
    code("service_unavailable_error", FailureClass::Overloaded),
    code("service_unavailable", FailureClass::Overloaded),
    code("unavailable", FailureClass::Overloaded),
    says(&[429], "service tier capacity exceeded", FailureClass::RateLimited),
    says(BUSY, "overloaded", FailureClass::Overloaded),
    says(BUSY, "high demand", FailureClass::Overloaded),
    says(BUSY, "at capacity", FailureClass::Overloaded),
    says(BUSY, "over capacity", FailureClass::Overloaded),
    says(BUSY, "capacity exceeded", FailureClass::Overloaded),
    says(BUSY, "no capacity", FailureClass::Overloaded),
    says(BUSY, "loading model", FailureClass::Overloaded),
    // Limits per time.
    code("rate_limit_exceeded", FailureClass::RateLimited),
    code("rate_limit_error", FailureClass::RateLimited),
    code("ratelimitreached", FailureClass::RateLimited),
    code("too_many_requests", FailureClass::RateLimited),
    says(LIMITED, "rate limit", FailureClass::RateLimited),
    says(LIMITED, "too many requests", FailureClass::RateLimited),
    // No such model.
    code("model_not_found", FailureClass::NotFound),
    code("model_not_available", FailureClass::NotFound),
    code("model_decommissioned", FailureClass::NotFound),
    code("unknown_model", FailureClass::NotFound),
    code("deploymentnotfound", FailureClass::NotFound),
    says(&[400], "has been decommissioned", FailureClass::NotFound),
    says(&[400], "model does not exist", FailureClass::NotFound),
    says(&[400], "model not exist", FailureClass::NotFound),
    says(&[400], "is not a valid model", FailureClass::NotFound),
    says(&[400], "invalid model", FailureClass::NotFound),
    says(&[400], "does not exist or you do not have access", FailureClass::NotFound),
    // The model wrote what the server could not read.
    code("tool_use_failed", FailureClass::InvalidOutput),
    code("json_validate_failed", FailureClass::InvalidOutput),
    // Not here, but perhaps elsewhere.
    code("unsupported_parameter", FailureClass::Unsupported),
    code("unsupported_value", FailureClass::Unsupported),
    code("unknown_parameter", FailureClass::Unsupported),
    code("extra_forbidden", FailureClass::Unsupported),
    says(REFUSED, "unsupported parameter", FailureClass::Unsupported),
    says(REFUSED, "unsupported value", FailureClass::Unsupported),
    says(REFUSED, "is not supported", FailureClass::Unsupported),
    says(REFUSED, "are not supported", FailureClass::Unsupported),
    says(REFUSED, "not supported with this model", FailureClass::Unsupported),
    says(REFUSED, "does not support", FailureClass::Unsupported),
    says(REFUSED, "endpoints found that support", FailureClass::Unsupported),
    says(REFUSED, "extra inputs are not permitted", FailureClass::Unsupported),
    says(REFUSED, "extra fields not permitted", FailureClass::Unsupported),
    says(REFUSED, "unrecognized request argument", FailureClass::Unsupported),
    says(REFUSED, "unknown name", FailureClass::Unsupported),
    says(REFUSED, "prefill", FailureClass::Unsupported),
];

const WITHOUT_STATUS: &[Rule] = &[
    kind("invalid_request_error", FailureClass::BadRequest),
    kind("badrequesterror", FailureClass::BadRequest),
    code("invalid_argument", FailureClass::BadRequest),
    kind("permission_error", FailureClass::Permission),
    code("permission_denied", FailureClass::Permission),
    kind("not_found_error", FailureClass::NotFound),
    kind("notfounderror", FailureClass::NotFound),
    kind("timeout_error", FailureClass::Timeout),
    code("timeout", FailureClass::Timeout),
    code("deadline_exceeded", FailureClass::Timeout),
    says(&[], "timed out", FailureClass::Timeout),
];

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderMap;

    use super::*;
    use crate::dialect::errors::tests::{check_rows, class};
    use crate::dialect::errors::{error_reply, hidden_error};
    use crate::dialect::hints::headers;
    use crate::failover::classify::FailureClass as C;
    use crate::secret::Secret;

    #[test]
    fn errors_as_servers_send_them() {
        check_rows(TABLE, include_str!("error_rows.txt"), 60);
    }

    /// A prompt echoed in an error of another status must not decide.
    #[test]
    fn an_echoed_prompt_does_not_decide() {
        let check = |status, expected| {
            let echo = "Invalid value 'the server is overloaded, rate limit, too many requests' at messages[0]";
            let body = serde_json::json!({"error": {"message": echo}}).to_string();
            assert_eq!(class(TABLE, status, &body), expected);
        };
        check(400, C::BadRequest);
        check(401, C::Authentication);
    }

    #[test]
    fn errors_within_a_200() {
        let check = |json: &str, expected| {
            let reply = hidden_error(TABLE, json, &[]);
            assert_eq!((reply.class, reply.status), (expected, 200), "{json}");
        };
        check(r#"{"error":{"code":502,"message":"Provider disconnected"}}"#, C::ServerError);
        check(r#"{"error":{"code":"429","message":"x"}}"#, C::RateLimited);
        check(r#"{"error":{"code":"rate_limit_exceeded","message":"x"}}"#, C::RateLimited);
        check(r#"{"error":{"type":"overloaded_error","message":"Overloaded"}}"#, C::Overloaded);
        check(r#"{"error":{"type":"server_error","message":"oops"}}"#, C::ServerError);
        check(r#"{"error":{"type":"invalid_request_error","message":"bad"}}"#, C::BadRequest);
        check(r#"{"error":{"message":"maximum context length is 5"}}"#, C::ContextLength);
        check(r#"{"error":"something broke"}"#, C::ServerError);
        check(r#"{"error":"the request timed out"}"#, C::Timeout);
        check(r#"{"error":{"code":999,"message":"x"}}"#, C::ServerError);
    }

    #[test]
    fn replies_carry_hints_and_no_keys() {
        let key = Secret::new("sk-live-123");
        let body = r#"{"error":{"message":"Incorrect API key provided: sk-live-123.","code":"invalid_api_key"}}"#;
        let reply =
            error_reply(TABLE, 401, &HeaderMap::new(), body.as_bytes(), Duration::ZERO, &[&key]);
        assert_eq!(reply.message, "Incorrect API key provided: [redacted].");
        assert_eq!((reply.code.as_str(), reply.retry_after), ("invalid_api_key", None));

        let check = |status,
                     pairs: &[(&'static str, &str)],
                     body: &str,
                     expected_s: Option<u64>| {
            let reply =
                error_reply(TABLE, status, &headers(pairs), body.as_bytes(), Duration::ZERO, &[]);
            assert_eq!(
                reply.retry_after,
                expected_s.map(Duration::from_secs),
                "{status} {pairs:?}"
            );
        };
        let reset = ("x-ratelimit-reset-tokens", "6m0s");
        let info = r#"[{"error":{"details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"34s"}]}}]"#;
        check(429, &[("retry-after", "2"), reset], info, Some(2));
        check(429, &[reset], info, Some(34));
        check(429, &[reset], "", Some(360));
        check(500, &[reset], "", None);
        check(503, &[("retry-after", "7")], "", Some(7));
    }
}
