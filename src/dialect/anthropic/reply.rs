//! What the gateway itself says to a client of this dialect.

use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use serde::Serialize;

use crate::dialect::{AttemptLine, ErrorOut};

/// The last second a date can be written of: 9999-12-31.
const LAST_SECOND: u64 = 253_402_300_799;

/// What clients look for in an error to make their conversation shorter.
const TOO_LONG: &str = "prompt is too long";

#[derive(Serialize)]
struct ErrorBody<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    error: ErrorObject<'a>,
    request_id: &'a str,
}

#[derive(Serialize)]
struct ErrorObject<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    message: &'a str,
    backstay: Trail<'a>,
}

#[derive(Serialize)]
struct Trail<'a> {
    trace: &'a str,
    code: &'a str,
    param: Option<&'a str>,
    attempts: &'a [AttemptLine<'a>],
}

/// The type of an error: by its code, else by its status.
fn kind(code: &str, status: u16) -> &'static str {
    match code {
        "rate_limit_exceeded" | "rate_limit_error" => "rate_limit_error",
        "server_is_overloaded" | "gateway_full" | "overloaded_error" => "overloaded_error",
        "timeout" | "timeout_error" => "timeout_error",
        "upstream_quota"
        | "upstream_auth"
        | "upstream_permission"
        | "upstream_error"
        | "api_error" => "api_error",
        "model_not_found" | "not_found_error" => "not_found_error",
        "invalid_request"
        | "unsupported_by_fallback"
        | "context_length_exceeded"
        | "content_filter"
        | "invalid_request_error" => "invalid_request_error",
        "invalid_api_key" | "authentication_error" => "authentication_error",
        "permission_error" => "permission_error",
        "billing_error" => "billing_error",
        "request_too_large" => "request_too_large",
        _ => by_status(status),
    }
}

const fn by_status(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        408 | 504 => "timeout_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 | 529 => "overloaded_error",
        400..500 => "invalid_request_error",
        _ => "api_error",
    }
}

/// An error's body, as JSON.
#[must_use]
pub fn error_json(error: &ErrorOut<'_>) -> String {
    let too_long = error.code == "context_length_exceeded"
        && !error.message.to_ascii_lowercase().contains(TOO_LONG);
    let longer = too_long.then(|| format!("{TOO_LONG}: {}", error.message));
    let body = ErrorBody {
        kind: "error",
        error: ErrorObject {
            kind: kind(error.code, error.status),
            message: longer.as_deref().unwrap_or(error.message),
            backstay: Trail {
                trace: error.trace,
                code: error.code,
                param: error.param,
                attempts: error.attempts,
            },
        },
        request_id: error.trace,
    };
    serde_json::to_string(&body).expect("strings and numbers can always be written as JSON")
}

#[derive(Serialize)]
struct ModelsList<'a> {
    data: Vec<Model<'a>>,
    has_more: bool,
    first_id: Option<&'a str>,
    last_id: Option<&'a str>,
}

#[derive(Serialize)]
struct Model<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: &'a str,
    display_name: &'a str,
    created_at: &'a str,
}

/// The models there are.
#[must_use]
pub fn models_list(names: &[&str], created: u64) -> Bytes {
    let created = UNIX_EPOCH + Duration::from_secs(created.min(LAST_SECOND));
    let created_at = humantime::format_rfc3339_seconds(created).to_string();
    let created_at = created_at.as_str();
    let model = |id| Model { kind: "model", id, display_name: id, created_at };
    let list = ModelsList {
        data: names.iter().copied().map(model).collect(),
        has_more: false,
        first_id: names.first().copied(),
        last_id: names.last().copied(),
    };
    Bytes::from(serde_json::to_vec(&list).expect("strings and numbers can always be written"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn error<'a>(status: u16, code: &'a str, message: &'a str) -> ErrorOut<'a> {
        ErrorOut {
            status,
            code,
            message,
            param: Some("tools"),
            retry_after: None,
            trace: "t1",
            attempts: &[],
        }
    }

    #[test]
    fn errors_have_the_api_s_shape_and_the_trail() {
        let attempts =
            [AttemptLine { target: "a/m", class: "rate-limited", status: Some(429), ms: 12 }];
        let out = ErrorOut { attempts: &attempts, ..error(429, "rate_limit_exceeded", "no\n") };
        let seen: Value = serde_json::from_str(&error_json(&out)).unwrap();
        let expected = json!({"type": "error", "error": {
            "type": "rate_limit_error", "message": "no\n",
            "backstay": {"trace": "t1", "code": "rate_limit_exceeded", "param": "tools", "attempts": [
                {"target": "a/m", "class": "rate-limited", "status": 429, "ms": 12}]}},
            "request_id": "t1"});
        assert_eq!(seen, expected);
        assert!(crate::dialect::Dialect::Anthropic.is_error(error_json(&out).as_bytes()));
    }

    #[test]
    fn every_class_has_its_type() {
        let check = |status, code, expected: &str| assert_eq!(kind(code, status), expected);
        check(400, "invalid_request", "invalid_request_error");
        check(400, "missing_required_parameter", "invalid_request_error");
        check(400, "unsupported_by_fallback", "invalid_request_error");
        check(400, "context_length_exceeded", "invalid_request_error");
        check(401, "invalid_api_key", "authentication_error");
        check(502, "upstream_auth", "api_error");
        check(503, "upstream_quota", "api_error");
        check(502, "upstream_error", "api_error");
        check(403, "forbidden", "permission_error");
        check(404, "model_not_found", "not_found_error");
        check(413, "request_too_large", "request_too_large");
        check(429, "rate_limit_exceeded", "rate_limit_error");
        check(503, "server_is_overloaded", "overloaded_error");
        check(503, "gateway_full", "overloaded_error");
        check(504, "timeout", "timeout_error");
        check(418, "teapot", "invalid_request_error");
        check(500, "oops", "api_error");
    }

    #[test]
    fn an_overlong_prompt_is_called_so() {
        let message = |message| {
            let json = error_json(&error(400, "context_length_exceeded", message));
            let value: Value = serde_json::from_str(&json).unwrap();
            value["error"]["message"].as_str().unwrap().to_owned()
        };
        assert_eq!(message("maximum is 5"), "prompt is too long: maximum is 5");
        assert_eq!(message("Prompt is too long: 7"), "Prompt is too long: 7");
    }

    #[test]
    fn models_are_listed() {
        let list: Value = serde_json::from_slice(&models_list(&["a", "b"], 7)).unwrap();
        let model = |id| json!({"type": "model", "id": id, "display_name": id, "created_at": "1970-01-01T00:00:07Z"});
        let expected = json!({"data": [model("a"), model("b")], "has_more": false, "first_id": "a", "last_id": "b"});
        assert_eq!(list, expected);
        let none: Value = serde_json::from_slice(&models_list(&[], u64::MAX)).unwrap();
        assert_eq!(none["first_id"], Value::Null);
    }
}
