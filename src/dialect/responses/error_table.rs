//! What the errors mean: the Responses API's own codes, then what they mean in
//! all of `OpenAI`'s APIs.

use crate::dialect::errors::{Rule, Table, code, code_begins};
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
    use super::*;
    use crate::dialect::errors::tests::check_rows;

    /// Rows with status 200 are errors within an answer or a stream.
    #[test]
    fn errors_as_servers_send_them() {
        check_rows(TABLE, include_str!("error_rows.txt"), 25);
    }
}
