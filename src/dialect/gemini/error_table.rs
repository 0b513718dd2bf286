//! What the errors of Gemini mean: data, in the order of judgement. Messages
//! count only with the statuses they come with, since errors echo prompts.

use crate::dialect::errors::{Matcher, Rule, Table, code, code_at, says};
use crate::failover::classify::FailureClass;

pub const TABLE: Table = Table { rules: RULES, without_status: WITHOUT_STATUS };

/// Refusals of the request itself.
const REFUSED: &[u16] = &[400, 404, 422];
/// An overlong input comes as 500 too.
const LENGTH: &[u16] = &[400, 413, 500];
const KEY: &[u16] = &[400, 401, 403];
const BUSY: &[u16] = &[429, 500, 502, 503, 504];

const RULES: &[Rule] = &[
    // Money. "Quota" is also what the limits per minute are called; only the
    // quota's name tells.
    code("billing_disabled", FailureClass::Quota),
    code("payment_required", FailureClass::Quota),
    code_at(&[429], Matcher::Contains("perday"), FailureClass::Quota),
    code_at(&[429], Matcher::Contains("spend"), FailureClass::Quota),
    code_at(&[402], Matcher::Is("resource_exhausted"), FailureClass::Quota),
    says(&[429], "spending cap", FailureClass::Quota),
    says(&[429], "prepayment credits are depleted", FailureClass::Quota),
    // Too long.
    says(LENGTH, "exceeds the maximum number of tokens", FailureClass::ContextLength),
    says(LENGTH, "payload size exceeds", FailureClass::ContextLength),
    says(LENGTH, "input context is too long", FailureClass::ContextLength),
    says(LENGTH, "exceeds the maximum context length", FailureClass::ContextLength),
    // The credential, and what it may do. A bad key is a 400.
    code("api_key_invalid", FailureClass::Authentication),
    code("access_token_expired", FailureClass::Authentication),
    says(KEY, "api key not valid", FailureClass::Authentication),
    says(KEY, "api key expired", FailureClass::Authentication),
    says(KEY, "api key not found", FailureClass::Authentication),
    says(KEY, "was reported as leaked", FailureClass::Authentication),
    says(KEY, "has been suspended", FailureClass::Authentication),
    code("service_disabled", FailureClass::Permission),
    code("api_key_service_blocked", FailureClass::Permission),
    code("api_key_ip_address_blocked", FailureClass::Permission),
    code("api_key_http_referrer_blocked", FailureClass::Permission),
    code("consumer_suspended", FailureClass::Permission),
    says(REFUSED, "user location is not supported", FailureClass::Permission),
    // It goes on: "or is not supported for generateContent".
    says(&[404], "is not found for api version", FailureClass::NotFound),
    // State that lies with one provider account: no other target has it.
    says(&[403, 404], "cachedcontent", FailureClass::BadRequest),
    says(&[403, 404], "the file", FailureClass::BadRequest),
    code("failed_precondition", FailureClass::Permission),
    // Filters.
    says(REFUSED, "prompt was blocked", FailureClass::ContentFilter),
    says(REFUSED, "blocked due to safety", FailureClass::ContentFilter),
    says(REFUSED, "prohibited content", FailureClass::ContentFilter),
    // No capacity.
    code("unavailable", FailureClass::Overloaded),
    says(BUSY, "overloaded", FailureClass::Overloaded),
    says(BUSY, "high demand", FailureClass::Overloaded),
    says(BUSY, "at capacity", FailureClass::Overloaded),
    // Limits per time.
    code("resource_exhausted", FailureClass::RateLimited),
    code("rate_limit_exceeded", FailureClass::RateLimited),
    // Time.
    code("deadline_exceeded", FailureClass::Timeout),
    code("cancelled", FailureClass::ServerError),
    // Not here, but perhaps elsewhere.
    code("unimplemented", FailureClass::Unsupported),
    says(REFUSED, "thought_signature", FailureClass::Unsupported),
    says(REFUSED, "thought signature", FailureClass::Unsupported),
    says(REFUSED, "unknown name", FailureClass::Unsupported),
    says(REFUSED, "cannot find field", FailureClass::Unsupported),
    says(REFUSED, "is not supported", FailureClass::Unsupported),
    says(REFUSED, "are not supported", FailureClass::Unsupported),
    says(REFUSED, "is unsupported", FailureClass::Unsupported),
    says(REFUSED, "does not support", FailureClass::Unsupported),
    says(REFUSED, "is not enabled for", FailureClass::Unsupported),
    says(REFUSED, "unsupported mime type", FailureClass::Unsupported),
    says(REFUSED, "only works in thinking mode", FailureClass::Unsupported),
    says(REFUSED, "budget is invalid", FailureClass::Unsupported),
];

const WITHOUT_STATUS: &[Rule] = &[
    code("invalid_argument", FailureClass::BadRequest),
    code("out_of_range", FailureClass::BadRequest),
    code("unauthenticated", FailureClass::Authentication),
    code("permission_denied", FailureClass::Permission),
    code("not_found", FailureClass::NotFound),
];

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderMap;

    use super::*;
    use crate::dialect::errors::tests::check_rows;
    use crate::dialect::errors::{error_reply, hidden_error};
    use crate::failover::classify::FailureClass as C;
    use crate::secret::Secret;

    #[test]
    fn errors_as_servers_send_them() {
        check_rows(TABLE, include_str!("error_rows.txt"), 35);
    }

    #[test]
    fn hidden_errors_are_judged_by_their_code() {
        let check = |json: &str, expected: C| {
            assert_eq!(hidden_error(TABLE, json, &[]).class, expected, "{json}");
        };
        let error = |code: u16, status: &str| {
            format!(r#"{{"error":{{"code":{code},"message":"x","status":"{status}"}}}}"#)
        };
        check(&error(503, "UNAVAILABLE"), C::Overloaded);
        check(&error(429, "RESOURCE_EXHAUSTED"), C::RateLimited);
        check(&error(500, "INTERNAL"), C::ServerError);
        check(&error(504, "DEADLINE_EXCEEDED"), C::Timeout);
        check(&error(400, "INVALID_ARGUMENT"), C::BadRequest);
        check(r#"{"error":{"message":"x","status":"INVALID_ARGUMENT"}}"#, C::BadRequest);
        check(r#"{"error":{"message":"x","status":"PERMISSION_DENIED"}}"#, C::Permission);
        check(r#"{"error":{"message":"x","status":"UNAUTHENTICATED"}}"#, C::Authentication);
        check(r#"{"error":{"message":"x","status":"NOT_FOUND"}}"#, C::NotFound);
        check(r#"{"error":{"message":"x"}}"#, C::ServerError);
        check(r#"{"error":"x"}"#, C::ServerError);
    }

    #[test]
    fn what_is_kept_of_an_error() {
        let key = Secret::new("AIzaSecret");
        let body = r#"{"error":{"code":429,"message":"key AIzaSecret is over\nits limit","status":"RESOURCE_EXHAUSTED",
            "details":[{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaId":"GenerateRequestsPerMinutePerProjectPerModel"}]},
                       {"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"34.5s"}]}}"#;
        let body = body.replace("over\nits", "over its");
        let reply =
            error_reply(TABLE, 429, &HeaderMap::new(), body.as_bytes(), Duration::ZERO, &[&key]);
        assert_eq!(reply.class, C::RateLimited);
        assert_eq!(reply.code, "429");
        assert_eq!(reply.message, "key [redacted] is over its limit");
        assert_eq!(reply.retry_after, Some(Duration::from_millis(34_500)));
    }
}
