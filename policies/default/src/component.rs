//! The component: hands each question to `decide`, and the bodies as views.

use alloc::string::String;
use alloc::vec::Vec;

use crate::contract::backstay::policy::exchange::{Finish, Output, Request, ToolCall};
use crate::contract::exports::backstay::policy::failover_policy::{
    Attempt, Call, Candidate, Guest, Ruling, Selection, Verdict,
};
use crate::decide::{self, AnswerBody, RequestBody};

struct Policy;

impl Guest for Policy {
    fn select_provider(
        call: Call,
        _request: &Request,
        candidates: Vec<Candidate>,
        attempts: Vec<Attempt>,
    ) -> Option<Selection> {
        Some(decide::select(&call, &candidates, &attempts))
    }

    fn classify_error(
        call: Call,
        candidates: Vec<Candidate>,
        attempts: Vec<Attempt>,
    ) -> Option<Ruling> {
        decide::classify(&call, &candidates, &attempts)
    }

    fn validate_output(
        call: Call,
        request: &Request,
        _candidate: Candidate,
        output: &Output,
    ) -> Option<Verdict> {
        Some(decide::validate(&call, request, output))
    }
}

impl RequestBody for Request {
    fn json(&self, pointer: &str) -> Option<String> {
        Request::json(self, pointer)
    }
}

impl AnswerBody for Output {
    fn complete(&self) -> bool {
        Output::complete(self)
    }

    fn text_length(&self) -> u32 {
        Output::text_length(self)
    }

    fn tool_calls(&self) -> Vec<ToolCall> {
        Output::tool_calls(self)
    }

    fn finish(&self) -> Finish {
        Output::finish(self)
    }

    fn violations(&self, schema: &str) -> Vec<String> {
        Output::violations(self, schema)
    }
}

crate::contract::export!(Policy with_types_in crate::contract);
