//! What a model that is not in the catalog can do, by its name's family and
//! version, else by the dialect (wire formats §4.6). New models follow the
//! rules of the newest known ones.

use super::name::{Version, essence, version};
use crate::dialect::Dialect;
use crate::dialect::target::{Abilities, SamplingRule, Thinking};

pub(super) fn abilities(dialect: Dialect, model: &str) -> Abilities {
    let name = essence(model);
    let newest = (u32::MAX, 0);
    let family = |start: &str| name.starts_with(start);
    if family("claude") {
        claude(&name, version(&name).unwrap_or(newest))
    } else if family("gemini") {
        gemini(&name, version(&name).unwrap_or(newest))
    } else if family("gpt-oss") {
        Abilities { thinking: Thinking::Effort, always_thinks: true, ..Abilities::unknown() }
    } else if family("gpt-") || family("codex-") || family("chatgpt-") {
        gpt(&name, version(&name).unwrap_or(newest))
    } else if is_o_series(&name) {
        reasoning_only()
    } else {
        stranger(dialect)
    }
}

fn claude(name: &str, version: Version) -> Abilities {
    let named = |part: &str| name.contains(part);
    // Since 5.5 but for the smallest, and in the families above Opus.
    let strict = (version >= (5, 5) || (named("fable") || named("mythos")) && version >= (5, 1))
        && !named("haiku");
    Abilities {
        sampling: if version >= (4, 7) { SamplingRule::Never } else { SamplingRule::Always },
        forced_tools: !strict,
        thinking: match version {
            older if older < (3, 7) => Thinking::No,
            older if older < (4, 6) => Thinking::Budget,
            (4, 6) => Thinking::Both,
            _ => Thinking::Effort,
        },
        always_thinks: strict || named("fable") || named("mythos"),
        prefill: version < (4, 6),
        structured_output: version >= (4, 5),
        max_output: match version {
            older if older < (3, 5) => Some(4_096),
            older if older < (3, 7) => Some(8_192),
            older if older < (4, 5) => Some(32_000),
            (4, 5) => Some(64_000),
            _ => Some(128_000),
        },
        ..Abilities::unknown()
    }
}

fn gemini(name: &str, version: Version) -> Abilities {
    let since = if name.contains("flash-lite") { (3, 5) } else { (3, 6) };
    let no_sampling = name.contains("flash") && version >= since;
    Abilities {
        sampling: if no_sampling { SamplingRule::Never } else { SamplingRule::Always },
        thinking: match version {
            older if older < (2, 5) => Thinking::No,
            (2, _) => Thinking::Budget,
            _ => Thinking::Effort,
        },
        call_signatures: version >= (3, 0),
        ..Abilities::unknown()
    }
}

fn gpt(name: &str, version: Version) -> Abilities {
    if version < (5, 0) || name.contains("-chat") {
        let max_completion_tokens = version >= (5, 0);
        return Abilities { thinking: Thinking::No, max_completion_tokens, ..Abilities::unknown() };
    }
    // Those that think whatever they are told.
    if version < (5, 1) || name.contains("codex") || name.contains("-pro") {
        return reasoning_only();
    }
    Abilities {
        sampling: SamplingRule::WithoutReasoning,
        thinking: Thinking::Effort,
        max_completion_tokens: true,
        ..Abilities::unknown()
    }
}

fn reasoning_only() -> Abilities {
    Abilities {
        sampling: SamplingRule::Never,
        thinking: Thinking::Effort,
        always_thinks: true,
        max_completion_tokens: true,
        ..Abilities::unknown()
    }
}

/// `o1`, `o3-mini`, …
fn is_o_series(name: &str) -> bool {
    let digits = name.strip_prefix('o').and_then(|rest| rest.split('-').next());
    digits.is_some_and(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
}

/// A model of another maker behind a dialect.
fn stranger(dialect: Dialect) -> Abilities {
    match dialect {
        Dialect::OpenAi | Dialect::Responses => Abilities::unknown(),
        // Servers that copy the dialect know its older forms.
        Dialect::Anthropic => Abilities {
            thinking: Thinking::Budget,
            structured_output: false,
            ..Abilities::unknown()
        },
        Dialect::Gemini => Abilities { thinking: Thinking::No, ..Abilities::unknown() },
    }
}
