//! What the gateway itself says to a client: errors and the list of models.
//! Must not know why it says so.

use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};

use crate::dialect::{AttemptLine, ErrorOut};

#[derive(Serialize)]
struct ErrorBody<'a> {
    error: ErrorObject<'a>,
}

#[derive(Serialize)]
struct ErrorObject<'a> {
    code: u16,
    message: &'a str,
    status: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    details: Vec<Value>,
    backstay: Trail<'a>,
}

#[derive(Serialize)]
struct Trail<'a> {
    /// The gateway's word: Google's code is a number.
    code: &'a str,
    trace: &'a str,
    attempts: &'a [AttemptLine<'a>],
}

/// The status word; the gateway's code says more than the status.
fn status_word(code: &str, status: u16) -> &'static str {
    match code {
        "rate_limit_exceeded" => "RESOURCE_EXHAUSTED",
        "server_is_overloaded"
        | "gateway_full"
        | "upstream_quota"
        | "upstream_auth"
        | "upstream_permission" => "UNAVAILABLE",
        "timeout" => "DEADLINE_EXCEEDED",
        "model_not_found" => "NOT_FOUND",
        "invalid_api_key" => "UNAUTHENTICATED",
        _ => word_of_status(status),
    }
}

const fn word_of_status(status: u16) -> &'static str {
    match status {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 | 410 => "NOT_FOUND",
        408 | 504 => "DEADLINE_EXCEEDED",
        409 => "ABORTED",
        429 => "RESOURCE_EXHAUSTED",
        499 => "CANCELLED",
        501 => "UNIMPLEMENTED",
        503 | 529 => "UNAVAILABLE",
        400..=499 => "INVALID_ARGUMENT",
        _ => "INTERNAL",
    }
}

fn details(error: &ErrorOut<'_>) -> Vec<Value> {
    let mut details = Vec::new();
    if error.status == 401 {
        details.push(json!({
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "API_KEY_INVALID",
            "domain": "googleapis.com",
        }));
    }
    if let (429, Some(wait)) = (error.status, error.retry_after) {
        details.push(json!({
            "@type": "type.googleapis.com/google.rpc.RetryInfo",
            "retryDelay": seconds(wait),
        }));
    }
    if let Some(field) = error.param {
        details.push(json!({
            "@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": [{"field": field, "description": error.message}],
        }));
    }
    details
}

/// As JSON writes a duration in Google's APIs.
fn seconds(wait: Duration) -> String {
    if wait.subsec_millis() == 0 {
        return format!("{}s", wait.as_secs());
    }
    format!("{}.{:03}s", wait.as_secs(), wait.subsec_millis())
}

/// An error's body, as JSON.
#[must_use]
pub fn error_json(error: &ErrorOut<'_>) -> String {
    let body = ErrorBody {
        error: ErrorObject {
            code: error.status,
            message: error.message,
            status: status_word(error.code, error.status),
            details: details(error),
            backstay: Trail { code: error.code, trace: error.trace, attempts: error.attempts },
        },
    };
    serde_json::to_string(&body).expect("strings and numbers can always be written as JSON")
}

/// The models there are. Gemini's list tells no time of making.
#[must_use]
pub fn models_list(names: &[&str], _created: u64) -> Bytes {
    let model = |name: &&str| {
        json!({
            "name": format!("models/{name}"),
            "displayName": name,
            "supportedGenerationMethods":
                ["generateContent", "streamGenerateContent", "countTokens", "embedContent"],
        })
    };
    let models: Vec<Value> = names.iter().map(model).collect();
    Bytes::from(json!({ "models": models }).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(status: u16, code: &'static str) -> ErrorOut<'static> {
        ErrorOut {
            status,
            code,
            message: "it \"failed\"\n",
            param: None,
            retry_after: None,
            trace: "t1",
            attempts: &[],
        }
    }

    fn body(error: &ErrorOut<'_>) -> Value {
        serde_json::from_str(&error_json(error)).unwrap()
    }

    #[test]
    fn every_code_has_its_word() {
        let check = |status, code, word: &str| {
            let body = body(&error(status, code));
            assert_eq!(
                (body["error"]["status"].as_str(), body["error"]["code"].as_u64()),
                (Some(word), Some(u64::from(status))),
                "{code}"
            );
        };
        check(400, "invalid_request", "INVALID_ARGUMENT");
        check(400, "context_length_exceeded", "INVALID_ARGUMENT");
        check(400, "unsupported_by_fallback", "INVALID_ARGUMENT");
        check(400, "content_filter", "INVALID_ARGUMENT");
        check(400, "missing_required_parameter", "INVALID_ARGUMENT");
        check(401, "invalid_api_key", "UNAUTHENTICATED");
        check(502, "upstream_auth", "UNAVAILABLE");
        check(502, "upstream_permission", "UNAVAILABLE");
        check(503, "upstream_quota", "UNAVAILABLE");
        check(404, "model_not_found", "NOT_FOUND");
        check(413, "request_too_large", "INVALID_ARGUMENT");
        check(429, "rate_limit_exceeded", "RESOURCE_EXHAUSTED");
        check(503, "server_is_overloaded", "UNAVAILABLE");
        check(503, "gateway_full", "UNAVAILABLE");
        check(504, "timeout", "DEADLINE_EXCEEDED");
        check(502, "upstream_error", "INTERNAL");
        check(403, "forbidden", "PERMISSION_DENIED");
        check(409, "conflict", "ABORTED");
        check(501, "x", "UNIMPLEMENTED");
    }

    #[test]
    fn errors_have_the_api_s_shape_and_the_trail() {
        let attempts =
            [AttemptLine { target: "a/m", class: "rate-limited", status: Some(429), ms: 12 }];
        let limited = ErrorOut {
            retry_after: Some(Duration::from_millis(34_500)),
            attempts: &attempts,
            ..error(429, "rate_limit_exceeded")
        };
        let expected = json!({"error": {
            "code": 429, "message": "it \"failed\"\n", "status": "RESOURCE_EXHAUSTED",
            "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.500s"}],
            "backstay": {"code": "rate_limit_exceeded", "trace": "t1", "attempts": [
                {"target": "a/m", "class": "rate-limited", "status": 429, "ms": 12}]}}});
        assert_eq!(body(&limited), expected);
        let whole = ErrorOut { retry_after: Some(Duration::from_secs(34)), ..limited };
        assert_eq!(body(&whole)["error"]["details"][0]["retryDelay"], "34s");
        let denied = body(&error(401, "invalid_api_key"));
        assert_eq!(denied["error"]["details"][0]["reason"], "API_KEY_INVALID");
        let wrong = ErrorOut { param: Some("contents"), ..error(400, "invalid_value") };
        let violation = &body(&wrong)["error"]["details"][0]["fieldViolations"][0];
        assert_eq!(violation["field"], "contents");
        assert_eq!(body(&error(500, "x"))["error"].get("details"), None);
    }

    #[test]
    fn models_are_listed() {
        let list: Value = serde_json::from_slice(&models_list(&["a/b", "c"], 7)).unwrap();
        assert_eq!(list["models"][0]["name"], "models/a/b");
        assert_eq!(list["models"][1]["displayName"], "c");
        assert_eq!(list["models"][1]["supportedGenerationMethods"][0], "generateContent");
    }
}
