//! What Anthropic's errors mean: data, in the order of judgement. Messages count
//! only with the statuses they come with, since they echo what was sent.

use crate::dialect::errors::{Rule, Table, begins, code, kind, says};
use crate::failover::classify::FailureClass;

pub const TABLE: Table = Table { rules: RULES, without_status: WITHOUT_STATUS };

const REFUSED: &[u16] = &[400, 403, 404, 413, 422];
const LENGTH: &[u16] = &[400, 413, 422];
const MONEY: &[u16] = &[400, 402, 403, 429];
const BUSY: &[u16] = &[429, 500, 502, 503, 504, 529];

const RULES: &[Rule] = &[
    // Money. A limit the customer set comes as a 400.
    code("enforced_spend_limit_reached", FailureClass::Quota),
    code("contract_spend_limit_reached", FailureClass::Quota),
    code("linked_organization_spend_limit_reached", FailureClass::Quota),
    code("linked_organization_billing_unavailable", FailureClass::Quota),
    code("storage_quota_exceeded", FailureClass::Quota),
    kind("billing_error", FailureClass::Quota),
    begins(MONEY, "you have reached your specified api usage limits", FailureClass::Quota),
    begins(MONEY, "you have reached your specified workspace api usage", FailureClass::Quota),
    says(MONEY, "credit balance is too low", FailureClass::Quota),
    // The credential, and what it may do.
    code("organization_on_hold", FailureClass::Permission),
    code("claude_code_version_too_old", FailureClass::Permission),
    kind("authentication_error", FailureClass::Authentication),
    // Too long.
    code("request_body_too_large_after_decoding", FailureClass::ContextLength),
    kind("request_too_large", FailureClass::ContextLength),
    says(LENGTH, "prompt is too long", FailureClass::ContextLength),
    says(LENGTH, "exceed context limit", FailureClass::ContextLength),
    says(LENGTH, "exceeds the maximum context", FailureClass::ContextLength),
    says(LENGTH, "input is too long", FailureClass::ContextLength),
    // Filters.
    says(REFUSED, "content filtering policy", FailureClass::ContentFilter),
    // Limits per time, and no capacity.
    code("ramp_limit_exceeded", FailureClass::RateLimited),
    kind("rate_limit_error", FailureClass::RateLimited),
    kind("overloaded_error", FailureClass::Overloaded),
    says(BUSY, "overloaded", FailureClass::Overloaded),
    // No such model.
    kind("not_found_error", FailureClass::NotFound),
    says(&[400], "model does not exist", FailureClass::NotFound),
    // Not here, but perhaps elsewhere.
    code("request_body_encoding_unsupported", FailureClass::Unsupported),
    code("available_tools_limit_exceeded", FailureClass::Unsupported),
    says(REFUSED, "extra inputs are not permitted", FailureClass::Unsupported),
    says(REFUSED, "is not supported", FailureClass::Unsupported),
    says(REFUSED, "are not supported", FailureClass::Unsupported),
    says(REFUSED, "not supported for this model", FailureClass::Unsupported),
    says(REFUSED, "does not support", FailureClass::Unsupported),
    says(REFUSED, "prefill", FailureClass::Unsupported),
    says(REFUSED, "does not match any of the expected tags", FailureClass::Unsupported),
    says(REFUSED, "unexpected value(s)", FailureClass::Unsupported),
    says(REFUSED, "is deprecated for this model", FailureClass::Unsupported),
    // Last, since much of the above says it too.
    kind("permission_error", FailureClass::Permission),
    kind("timeout_error", FailureClass::Timeout),
    kind("conflict_error", FailureClass::ServerError),
];

const WITHOUT_STATUS: &[Rule] = &[
    kind("invalid_request_error", FailureClass::BadRequest),
    kind("api_error", FailureClass::ServerError),
    says(&[], "timed out", FailureClass::Timeout),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::errors::hidden_error;
    use crate::dialect::errors::tests::{check_rows, class};
    use crate::failover::classify::FailureClass as C;

    #[test]
    fn errors_as_anthropic_sends_them() {
        check_rows(TABLE, include_str!("error_rows.txt"), 30);
    }

    #[test]
    fn errors_within_a_stream() {
        let check = |json: &str, expected| {
            assert_eq!(hidden_error(TABLE, json, &[]).class, expected, "{json}");
        };
        let error = |kind: &str, message: &str| {
            format!(r#"{{"type":"error","error":{{"type":"{kind}","message":"{message}"}}}}"#)
        };
        check(&error("overloaded_error", "Overloaded"), C::Overloaded);
        check(&error("api_error", "Internal server error"), C::ServerError);
        check(&error("rate_limit_error", "too fast"), C::RateLimited);
        check(&error("invalid_request_error", "bad"), C::BadRequest);
        check(&error("invalid_request_error", "prompt is too long: 5 > 3"), C::ContextLength);
        check(&error("timeout_error", "x"), C::Timeout);
        check(&error("mystery", "the upstream timed out"), C::Timeout);
        check(&error("mystery", "x"), C::ServerError);
    }

    /// A prompt echoed in an error of another status must not decide.
    #[test]
    fn an_echoed_prompt_does_not_decide() {
        let echo = "messages.0: Input should be an object: 'overloaded, rate limit'";
        let body = serde_json::json!({"type": "error", "error": {"type": "invalid_request_error", "message": echo}});
        assert_eq!(class(TABLE, 400, &body.to_string()), C::BadRequest);
    }
}
