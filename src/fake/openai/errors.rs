//! Error answers as `OpenAI` and Azure word them: status, type, code, message. Pure.

use serde_json::{Value, json};

use super::super::behaviour::RejectionKind;
use super::super::error_body::{Blame, ErrorBody};

pub(in super::super) fn rejection(kind: RejectionKind, blame: Blame<'_>) -> ErrorBody {
    let Blame { model, key } = blame;
    match kind {
        RejectionKind::BadRequest => {
            invalid_request(400, "invalid_value", "Invalid value: 'messages[0].role'.")
        }
        RejectionKind::ContextLength => invalid_request(
            400,
            "context_length_exceeded",
            "This model's maximum context length is 8192 tokens. However, your messages \
             resulted in 9001 tokens. Please reduce the length of the messages.",
        ),
        RejectionKind::ContentFilter => content_filter(),
        RejectionKind::Unauthorized => {
            invalid_request(401, "invalid_api_key", &format!("Incorrect API key provided: {key}."))
        }
        RejectionKind::Payment => {
            error(402, "billing_error", "payment_required", "Insufficient balance.")
        }
        RejectionKind::Forbidden => error(
            403,
            "permission_error",
            "unsupported_country_region_territory",
            "Country, region, or territory not supported.",
        ),
        RejectionKind::ModelNotFound => invalid_request(
            404,
            "model_not_found",
            &format!("The model `{model}` does not exist or you do not have access to it."),
        ),
        RejectionKind::RateLimited => error(
            429,
            "requests",
            "rate_limit_exceeded",
            "Rate limit reached for requests per minute.",
        ),
        RejectionKind::Quota => error(
            429,
            "insufficient_quota",
            "insufficient_quota",
            "You exceeded your current quota, please check your plan and billing details.",
        ),
        RejectionKind::Overloaded => {
            error(529, "overloaded_error", "overloaded", "The provider is overloaded.")
        }
        RejectionKind::Status(status) => other(status),
    }
}

/// What Azure says otherwise than `OpenAI`.
pub(in super::super) fn azure_rejection(kind: RejectionKind, blame: Blame<'_>) -> ErrorBody {
    match kind {
        RejectionKind::Unauthorized => azure(
            401,
            "401",
            &format!(
                "Access denied due to invalid subscription key ({}) or wrong API endpoint. Make \
                 sure to provide a valid key for an active subscription.",
                blame.key
            ),
        ),
        RejectionKind::ModelNotFound => azure(
            404,
            "DeploymentNotFound",
            "The API deployment for this resource does not exist. If you created the deployment \
             within the last 5 minutes, please wait a moment and try again.",
        ),
        RejectionKind::RateLimited => azure(
            429,
            "429",
            "Requests to the ChatCompletions_Create Operation have exceeded call rate limit of \
             your current pricing tier. Please retry later.",
        ),
        RejectionKind::BadRequest
        | RejectionKind::ContextLength
        | RejectionKind::ContentFilter
        | RejectionKind::Payment
        | RejectionKind::Forbidden
        | RejectionKind::Quota
        | RejectionKind::Overloaded
        | RejectionKind::Status(_) => rejection(kind, blame),
    }
}

/// An error of Azure's front, which has a code and a message alone.
pub(in super::super) fn azure(status: u16, code: &str, message: &str) -> ErrorBody {
    ErrorBody { status, json: json!({ "error": { "code": code, "message": message } }) }
}

/// An error of the caller's making, with its own message.
pub(in super::super) fn invalid_request(status: u16, code: &str, message: &str) -> ErrorBody {
    error(status, "invalid_request_error", code, message)
}

/// A 400 that names the parameter; `code` may be null.
pub(in super::super) fn invalid_parameter(
    param: &str,
    code: Option<&str>,
    message: &str,
) -> ErrorBody {
    let kind = "invalid_request_error";
    let json =
        json!({ "error": { "message": message, "type": kind, "param": param, "code": code } });
    ErrorBody { status: 400, json }
}

fn other(status: u16) -> ErrorBody {
    if status < 500 {
        let message = format!("The request was answered with {status}.");
        return invalid_request(status, "invalid_request", &message);
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
    let mut body = invalid_request(
        400,
        "content_filter",
        "The response was filtered due to the prompt triggering the content management policy.",
    );
    body.json["error"]["innererror"] = json!({ "code": "ResponsibleAIPolicyViolation" });
    body
}

fn error(status: u16, kind: &str, code: &str, message: &str) -> ErrorBody {
    let json = json!({ "error": { "message": message, "type": kind, "param": Value::Null, "code": code } });
    ErrorBody { status, json }
}
