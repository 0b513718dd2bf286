//! Error answers as Anthropic words them: status, type, message. Pure.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::super::behaviour::{Hint, RejectionKind};
use super::super::error_body::{Blame, ErrorBody};
use super::super::tongue::{plain_hint, wait_of};

/// A moment further away than this has no date of four digits.
const FAR_AWAY: Duration = Duration::from_hours(1000 * 365 * 24);

pub(in super::super) fn rejection(kind: RejectionKind, blame: Blame<'_>) -> ErrorBody {
    match kind {
        RejectionKind::BadRequest => {
            invalid(400, "messages.0.role: Input should be 'user' or 'assistant'")
        }
        RejectionKind::ContextLength => {
            invalid(400, "prompt is too long: 208310 tokens > 200000 maximum")
        }
        RejectionKind::ContentFilter => invalid(400, "Output blocked by content filtering policy"),
        RejectionKind::Unauthorized => {
            error(401, "authentication_error", &format!("invalid x-api-key: {}", blame.key))
        }
        RejectionKind::Payment => error(
            402,
            "billing_error",
            "Your credit balance is too low to access the Anthropic API. Please go to Plans & \
             Billing to upgrade or purchase credits.",
        ),
        RejectionKind::Forbidden => error(
            403,
            "permission_error",
            "Your API key does not have permission to use the specified resource.",
        ),
        RejectionKind::ModelNotFound => {
            error(404, "not_found_error", &format!("model: {}", blame.model))
        }
        RejectionKind::RateLimited => error(
            429,
            "rate_limit_error",
            "This request would exceed your organization's rate limit of 50 requests per minute.",
        ),
        RejectionKind::Quota => {
            let message = "You have reached your monthly spend limit.";
            let mut body = error(429, "rate_limit_error", message);
            body.json["error"]["details"] = json!({ "error_code": "enforced_spend_limit_reached" });
            body
        }
        RejectionKind::Overloaded => error(529, "overloaded_error", "Overloaded"),
        RejectionKind::Status(status) => other(status),
    }
}

fn other(status: u16) -> ErrorBody {
    match status {
        408 | 504 => error(status, "timeout_error", "Request timed out"),
        409 => error(status, "conflict_error", "The request conflicts with another one."),
        413 => error(status, "request_too_large", "Request exceeds the maximum size"),
        503 => error(status, "api_error", "Service temporarily unavailable"),
        500.. => error(status, "api_error", "Internal server error"),
        status => invalid(status, &format!("The request was answered with {status}.")),
    }
}

/// An error of the caller's making.
pub(in super::super) fn invalid(status: u16, message: &str) -> ErrorBody {
    let kind = if status == 404 { "not_found_error" } else { "invalid_request_error" };
    error(status, kind, message)
}

/// The hint, and the state of the limit that is behind it.
pub(in super::super) fn hint(hint: &Hint, now: SystemTime) -> Vec<(&'static str, String)> {
    let mut headers = match hint {
        Hint::Header("x-ratelimit-reset-requests", _) => Vec::new(),
        Hint::None | Hint::Header(..) | Hint::Date(_) => plain_hint(hint, now),
    };
    if let Some(wait) = wait_of(hint).filter(|wait| *wait < FAR_AWAY) {
        let reset = humantime::format_rfc3339_seconds(now + wait).to_string();
        headers.push(("anthropic-ratelimit-requests-limit", "50".to_owned()));
        headers.push(("anthropic-ratelimit-requests-remaining", "0".to_owned()));
        headers.push(("anthropic-ratelimit-requests-reset", reset));
    }
    headers
}

pub(in super::super) fn sign(json: &mut Value, request_id: &str) {
    if json["type"] == "error" {
        json["request_id"] = request_id.into();
    }
}

fn error(status: u16, kind: &str, message: &str) -> ErrorBody {
    let error = json!({ "type": kind, "message": message });
    ErrorBody { status, json: json!({ "type": "error", "error": error }) }
}
