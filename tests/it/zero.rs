//! `backstay serve` without a configuration, as a newcomer starts it.

use backstay::fake::{DEFAULT_WORDS, answer};

use crate::support::client::exchange;
use crate::support::gateway::provider;
use crate::support::process::{Process, run_without_file};
use crate::support::tongue::TONGUES;

#[tokio::test(flavor = "multi_thread")]
async fn the_keys_in_the_environment_are_enough() {
    let (openai, anthropic) = (provider("openai", "500"), provider("anthropic", "ok"));
    let urls = (openai.base_url(), anthropic.base_url());
    let process = Process::start_from_environment(&[
        ("OPENAI_API_KEY", "sk-0123456789"),
        ("OPENAI_BASE_URL", &urls.0),
        ("ANTHROPIC_API_KEY", "sk-ant-0123456789"),
        ("ANTHROPIC_BASE_URL", &urls.1),
    ])
    .await;
    // The one provider fails, and its equal at the other answers.
    for model in ["gpt-5", "claude-sonnet-4-5-20250929", "auto"] {
        for tongue in TONGUES {
            let reply = exchange(process.addr, tongue.asks(model, "hi", true)).await;
            let heard = tongue.hears(&reply, true);
            assert_eq!(heard.text, answer("hi", DEFAULT_WORDS), "{tongue:?} {model}: {heard:?}");
            assert!(heard.whole, "{tongue:?} {model}: {heard:?}");
        }
    }
    assert!(openai.counts().requests > 0, "the first of its route was not asked");
}

#[test]
fn without_a_key_it_says_what_it_looked_for() {
    let (code, said) = run_without_file(&["serve"]);
    assert_eq!(code, Some(2), "{said}");
    for named in ["OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "backstay init"] {
        assert!(said.contains(named), "{named} is not in: {said}");
    }
}
