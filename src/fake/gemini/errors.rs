//! Error answers as Google words them: code, message, status, details. Pure.

use serde_json::{Value, json};

use super::super::behaviour::{Hint, RejectionKind};
use super::super::error_body::{Blame, ErrorBody};
use super::super::tongue::wait_of;

pub(in super::super) fn rejection(kind: RejectionKind, blame: Blame<'_>) -> ErrorBody {
    match kind {
        RejectionKind::BadRequest => invalid(400, "Please use a valid role: user, model."),
        RejectionKind::ContextLength => invalid(
            400,
            "The input token count (1200000) exceeds the maximum number of tokens allowed \
             (1048576).",
        ),
        RejectionKind::ContentFilter => blocked(blame.model),
        RejectionKind::Unauthorized => error(
            401,
            "UNAUTHENTICATED",
            &format!(
                "Request had invalid authentication credentials ({}). Expected OAuth 2 access \
                 token, login cookie or other valid authentication credential.",
                blame.key
            ),
        ),
        RejectionKind::Payment => error(
            402,
            "RESOURCE_EXHAUSTED",
            "Your prepayment credits are depleted. Please go to AI Studio to manage your project \
             and billing.",
        ),
        RejectionKind::Forbidden => error(
            403,
            "PERMISSION_DENIED",
            "You do not have permission to access the requested resource.",
        ),
        RejectionKind::ModelNotFound => error(
            404,
            "NOT_FOUND",
            &format!(
                "models/{} is not found for API version v1beta, or is not supported for \
                 generateContent. Call ListModels to see the list of available models and their \
                 supported methods.",
                blame.model
            ),
        ),
        RejectionKind::RateLimited => exhausted(
            "GenerateRequestsPerMinutePerProjectPerModel",
            "You exceeded your current quota, please check your plan and billing details. Quota \
             exceeded for metric: generate_content_requests, limit: 50 per minute.",
        ),
        RejectionKind::Quota => exhausted(
            "GenerateRequestsPerDayPerProjectPerModel",
            "You exceeded your current quota, please check your plan and billing details. Quota \
             exceeded for metric: generate_content_requests, limit: 1000 per day.",
        ),
        RejectionKind::Overloaded => {
            error(503, "UNAVAILABLE", "The model is overloaded. Please try again later.")
        }
        RejectionKind::Status(status) => other(status),
    }
}

fn other(status: u16) -> ErrorBody {
    let message = match status {
        413 => "Request payload size exceeds the limit: 20971520 bytes.",
        503 => "The service is currently unavailable.",
        504 => "Deadline expired before operation could complete.",
        500.. => {
            "An internal error has occurred. Please retry or report in \
                  https://developers.generativeai.google/guide/troubleshooting"
        }
        _ => return invalid(status, &format!("The request was answered with {status}.")),
    };
    invalid(status, message)
}

/// A prompt that was blocked: an answer without candidates.
fn blocked(model: &str) -> ErrorBody {
    let json = json!({
        "promptFeedback": { "blockReason": "PROHIBITED_CONTENT" },
        "usageMetadata": { "promptTokenCount": 1, "totalTokenCount": 1 },
        "modelVersion": model,
    });
    ErrorBody { status: 200, json }
}

/// An error with the word that belongs to its status.
pub(in super::super) fn invalid(status: u16, message: &str) -> ErrorBody {
    let word = match status {
        401 => "UNAUTHENTICATED",
        402 | 429 => "RESOURCE_EXHAUSTED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        408 | 504 => "DEADLINE_EXCEEDED",
        409 => "ABORTED",
        412 => "FAILED_PRECONDITION",
        499 => "CANCELLED",
        501 => "UNIMPLEMENTED",
        503 => "UNAVAILABLE",
        500.. => "INTERNAL",
        _ => "INVALID_ARGUMENT",
    };
    error(status, word, message)
}

/// A member that the request has no place for.
pub(super) fn unknown_name(name: &str, path: &str) -> ErrorBody {
    let place = if path.is_empty() { String::new() } else { format!(" at '{path}'") };
    let problem = format!(
        "Invalid JSON payload received. Unknown name \"{name}\"{place}: Cannot find field."
    );
    let mut body = invalid(400, &problem);
    body.json["error"]["details"] = json!([{
        "@type": "type.googleapis.com/google.rpc.BadRequest",
        "fieldViolations": [{ "field": path, "description": problem }],
    }]);
    body
}

/// The answer to a key that is not known: a 400.
pub(in super::super) fn bad_key() -> ErrorBody {
    let mut body = invalid(400, "API key not valid. Please pass a valid API key.");
    body.json["error"]["details"] = json!([{
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "API_KEY_INVALID",
        "domain": "googleapis.com",
        "metadata": { "service": "generativelanguage.googleapis.com" },
    }]);
    body
}

/// Says in the body when to come back: this provider has no header for it.
pub(in super::super) fn hint(hint: &Hint, json: &mut Value) {
    let delay = match (wait_of(hint), hint) {
        (Some(wait), _) => format!("{}s", wait.as_secs_f64()),
        (None, Hint::Header(_, value)) => format!("{value}s"),
        (None, Hint::None | Hint::Date(_)) => return,
    };
    let Some(error) = json.get_mut("error").and_then(Value::as_object_mut) else { return };
    let info = json!({ "@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay });
    match error.get_mut("details").and_then(Value::as_array_mut) {
        Some(details) => details.push(info),
        None => {
            error.insert("details".to_owned(), json!([info]));
        }
    }
}

fn exhausted(quota: &str, message: &str) -> ErrorBody {
    let mut body = error(429, "RESOURCE_EXHAUSTED", message);
    body.json["error"]["details"] = json!([{
        "@type": "type.googleapis.com/google.rpc.QuotaFailure",
        "violations": [{
            "quotaMetric": "generativelanguage.googleapis.com/generate_content_requests",
            "quotaId": quota,
        }],
    }]);
    body
}

fn error(status: u16, word: &str, message: &str) -> ErrorBody {
    let error = json!({ "code": status, "message": message, "status": word });
    ErrorBody { status, json: json!({ "error": error }) }
}
