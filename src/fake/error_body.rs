//! Error answers as providers word them: status, type, code, message. Pure.

use serde_json::{Value, json};

use super::behaviour::RejectionKind;

/// An error answer without its framing.
pub(super) struct ErrorBody {
    pub status: u16,
    pub json: Value,
}

impl RejectionKind {
    /// The answer; `key` is what the caller authenticated with.
    pub(super) fn error(self, model: &str, key: &str) -> ErrorBody {
        match self {
            Self::BadRequest => error(
                400,
                "invalid_request_error",
                "invalid_value",
                "Invalid value: 'messages[0].role'.",
            ),
            Self::ContextLength => error(
                400,
                "invalid_request_error",
                "context_length_exceeded",
                "This model's maximum context length is 8192 tokens. However, your messages \
                 resulted in 9001 tokens. Please reduce the length of the messages.",
            ),
            Self::ContentFilter => content_filter(),
            Self::Unauthorized => error(
                401,
                "invalid_request_error",
                "invalid_api_key",
                &format!("Incorrect API key provided: {key}."),
            ),
            Self::Payment => {
                error(402, "billing_error", "payment_required", "Insufficient balance.")
            }
            Self::Forbidden => error(
                403,
                "permission_error",
                "unsupported_country_region_territory",
                "Country, region, or territory not supported.",
            ),
            Self::ModelNotFound => error(
                404,
                "invalid_request_error",
                "model_not_found",
                &format!("The model `{model}` does not exist or you do not have access to it."),
            ),
            Self::RateLimited => error(
                429,
                "requests",
                "rate_limit_exceeded",
                "Rate limit reached for requests per minute.",
            ),
            Self::Quota => error(
                429,
                "insufficient_quota",
                "insufficient_quota",
                "You exceeded your current quota, please check your plan and billing details.",
            ),
            Self::Overloaded => overloaded(),
            Self::Status(status) => other(status),
        }
    }
}

pub(super) fn overloaded() -> ErrorBody {
    error(529, "overloaded_error", "overloaded", "The provider is overloaded.")
}

/// An error of the caller's making, with its own message.
pub(super) fn invalid_request(status: u16, code: &str, message: &str) -> ErrorBody {
    error(status, "invalid_request_error", code, message)
}

fn other(status: u16) -> ErrorBody {
    if status < 500 {
        let message = format!("The request was answered with {status}.");
        return error(status, "invalid_request_error", "invalid_request", &message);
    }
    if status == 503 {
        let message = "The server is overloaded or not ready yet.";
        return error(status, "service_unavailable_error", "server_is_overloaded", message);
    }
    let message = "The server had an error while processing your request.";
    error(status, "server_error", "server_error", message)
}

/// As Azure words it.
fn content_filter() -> ErrorBody {
    let mut body = error(
        400,
        "invalid_request_error",
        "content_filter",
        "The response was filtered due to the prompt triggering the content management policy.",
    );
    body.json["error"]["innererror"] = json!({ "code": "ResponsibleAIPolicyViolation" });
    body
}

fn error(status: u16, kind: &str, code: &str, message: &str) -> ErrorBody {
    let json =
        json!({ "error": { "message": message, "type": kind, "param": null, "code": code } });
    ErrorBody { status, json }
}
