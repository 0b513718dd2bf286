//! What the errors mean: the Responses API's own codes, then what they mean in
//! all of `OpenAI`'s APIs.

use crate::dialect::errors::{Field, Matcher, Rule, Table};
use crate::dialect::openai;
use crate::failover::classify::FailureClass;

pub const TABLE: Table = Table { rules: &RULES, without_status: SHARED.without_status };

const SHARED: Table = openai::ERRORS;

const COUNT: usize = OWN.len() + SHARED.rules.len();

const RULES: [Rule; COUNT] = joined();

const fn joined() -> [Rule; COUNT] {
    let mut all = [OWN[0]; COUNT];
    let mut at = 0;
    while at < COUNT {
        all[at] = if at < OWN.len() { OWN[at] } else { SHARED.rules[at - OWN.len()] };
        at += 1;
    }
    all
}

const fn code(code: &'static str, class: FailureClass) -> Rule {
    Rule { statuses: &[], field: Field::Code, matcher: Matcher::Is(code), class }
}

const fn code_begins(start: &'static str, class: FailureClass) -> Rule {
    Rule { statuses: &[], field: Field::Code, matcher: Matcher::Begins(start), class }
}

const OWN: &[Rule] = &[
    // What the server was to remember and does not: no other server does.
    code("previous_response_not_found", FailureClass::BadRequest),
    code("conversation_not_found", FailureClass::BadRequest),
    code("invalid_encrypted_content", FailureClass::BadRequest),
    // Policies.
    code("bio_policy", FailureClass::ContentFilter),
    code("misalignment_policy_violation", FailureClass::ContentFilter),
    code("image_content_policy_violation", FailureClass::ContentFilter),
    // The project's data may not be kept where the server is.
    code("data_residency_mismatch", FailureClass::Permission),
    code("vector_store_timeout", FailureClass::Timeout),
    // Images that no server could read.
    code_begins("invalid_image", FailureClass::BadRequest),
    code_begins("invalid_base64_image", FailureClass::BadRequest),
    code_begins("image_too_", FailureClass::BadRequest),
    code_begins("image_file_", FailureClass::BadRequest),
    code("image_parse_error", FailureClass::BadRequest),
    code("empty_image_file", FailureClass::BadRequest),
    code("unsupported_image_media_type", FailureClass::BadRequest),
    code("failed_to_download_image", FailureClass::BadRequest),
];

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderMap;

    use super::*;
    use crate::dialect::errors::{error_reply, hidden_error};

    /// Rows with status 200 are errors within an answer or a stream.
    #[test]
    fn errors_as_servers_send_them() {
        let rows = include_str!("error_rows.txt").lines();
        let rows: Vec<&str> = rows.filter(|row| !row.is_empty() && !row.starts_with('#')).collect();
        assert!(rows.len() >= 25);
        for row in rows {
            let (status, rest) = row.split_once(' ').unwrap();
            let (expected, body) = rest.split_once(' ').unwrap_or((rest, ""));
            let reply = match status.parse().unwrap() {
                200 => hidden_error(TABLE, body, &[]),
                status => {
                    let headers = HeaderMap::new();
                    error_reply(TABLE, status, &headers, body.as_bytes(), Duration::ZERO, &[])
                }
            };
            assert_eq!(reply.class.label(), expected, "{row}");
        }
    }
}
