//! What a client calls the things that a target could not be asked. The
//! writers do not know whose request they write and use words of their own;
//! a client is told its own dialect's fields. Must not know why it is told.

use super::Dialect;

/// A writer's word, and the field in `openai`, `openai-responses`, `anthropic`
/// and `gemini`. What is not here has one name everywhere.
const WORDS: &[(&str, [&str; 4])] = &[
    ("stop", ["stop", "stop", "stop_sequences", "generationConfig.stopSequences"]),
    ("max_tokens", LIMIT),
    ("max_output_tokens", LIMIT),
    ("n", ["n", "n", "n", "generationConfig.candidateCount"]),
    ("temperature", ["temperature", "temperature", "temperature", "generationConfig.temperature"]),
    ("top_p", ["top_p", "top_p", "top_p", "generationConfig.topP"]),
    ("top_k", ["top_k", "top_k", "top_k", "generationConfig.topK"]),
    ("seed", ["seed", "seed", "seed", "generationConfig.seed"]),
    ("frequency_penalty", {
        let own = "frequency_penalty";
        [own, own, own, "generationConfig.frequencyPenalty"]
    }),
    ("presence_penalty", {
        let own = "presence_penalty";
        [own, own, own, "generationConfig.presencePenalty"]
    }),
    ("logprobs", ["logprobs", "top_logprobs", "logprobs", "generationConfig.responseLogprobs"]),
    (
        "reasoning_effort",
        ["reasoning_effort", "reasoning.effort", "thinking", "generationConfig.thinkingConfig"],
    ),
    ("response_format", FORMAT),
    ("response_format.strict", FORMAT),
    ("parallel_tool_calls", {
        let own = "parallel_tool_calls";
        [own, own, "tool_choice.disable_parallel_tool_use", own]
    }),
    ("tool_choice", ["tool_choice", "tool_choice", "tool_choice", "toolConfig"]),
    ("cache_control", {
        let openai = "prompt_cache_breakpoint";
        [openai, openai, "cache_control", "cache_control"]
    }),
    ("strict", STRICT),
    ("tools[].strict", STRICT),
    ("custom tools", ["tools[].custom"; 4]),
    ("tools[].parameters", {
        let gemini = "tools[].functionDeclarations[].parameters";
        ["tools[].function.parameters", "tools[].parameters", "tools[].input_schema", gemini]
    }),
    ("messages", TURNS),
    ("prefill", TURNS),
    ("first turn", TURNS),
    ("a trailing turn of the assistant", TURNS),
    ("system", ROLE),
    ("system turns within the conversation", ROLE),
    ("tool_calls", CALLS),
    ("tool calls without a result", CALLS),
    ("tool_results", RESULTS),
    ("tool results", RESULTS),
    ("images", {
        let openai = ["messages[].content[].image_url", "input[].content[].input_image"];
        [openai[0], openai[1], "messages[].content[].image", "contents[].parts[].inlineData"]
    }),
    ("detail", {
        let openai = ["messages[].content[].image_url.detail", "input[].content[].detail"];
        [openai[0], openai[1], "messages[].content[].image", "contents[].parts[].inlineData"]
    }),
    ("audio", {
        let openai = ["messages[].content[].input_audio", "input[].content[].input_audio"];
        [openai[0], openai[1], "messages[].content[].audio", "contents[].parts[].inlineData"]
    }),
    ("documents", FILES),
    ("files", FILES),
];

const LIMIT: [&str; 4] = [
    "max_completion_tokens",
    "max_output_tokens",
    "max_tokens",
    "generationConfig.maxOutputTokens",
];
const FORMAT: [&str; 4] =
    ["response_format", "text.format", "output_config.format", "generationConfig.responseMimeType"];
const STRICT: [&str; 4] =
    ["tools[].function.strict", "tools[].strict", "tools[].strict", "tools[].strict"];
const TURNS: [&str; 4] = ["messages", "input", "messages", "contents"];
const ROLE: [&str; 4] = ["messages[].role", "input[].role", "messages[].role", "contents[].role"];
const CALLS: [&str; 4] = [
    "messages[].tool_calls",
    "input[].function_call",
    "messages[].content[].tool_use",
    "contents[].parts[].functionCall",
];
const RESULTS: [&str; 4] = [
    "messages[].tool_call_id",
    "input[].function_call_output",
    "messages[].content[].tool_result",
    "contents[].parts[].functionResponse",
];
const FILES: [&str; 4] = [
    "messages[].content[].file",
    "input[].content[].input_file",
    "messages[].content[].document",
    "contents[].parts[].inlineData",
];

impl Dialect {
    /// What a client of this dialect calls what a writer calls so.
    #[must_use]
    pub fn own_word(self, word: String) -> String {
        let known = WORDS.iter().find(|(known, _)| *known == word);
        let Some((_, words)) = known else { return word };
        let own = match self {
            Self::OpenAi => words[0],
            Self::Responses => words[1],
            Self::Anthropic => words[2],
            Self::Gemini => words[3],
        };
        own.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_hears_its_own_words() {
        let check = |word: &str, expected: [&str; 4]| {
            let heard = Dialect::ALL.map(|dialect| dialect.own_word(word.to_owned()));
            assert_eq!(heard, expected);
        };
        check("stop", ["stop", "stop", "stop_sequences", "generationConfig.stopSequences"]);
        check("prefill", ["messages", "input", "messages", "contents"]);
        check("x_new", ["x_new"; 4]);
        // No word is there twice: the second would never be found.
        for (at, (word, _)) in WORDS.iter().enumerate() {
            assert!(WORDS[..at].iter().all(|(other, _)| other != word), "{word}");
        }
    }
}
