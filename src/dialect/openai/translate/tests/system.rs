use bytes::Bytes;
use proptest::prelude::*;

use super::super::with_system;

/// Messages without the brackets around them.
fn check(messages: &str, template: &str, expected: &str) {
    let body = |messages: &str| format!(r#"{{"x":1.0, "messages":[{messages} ] ,"y":-0}}"#);
    let seen = with_system(&Bytes::from(body(messages)), template);
    assert_eq!(std::str::from_utf8(&seen), Ok(&*body(expected)), "{messages}");
}

#[test]
fn the_system_prompt_is_put_into_the_template() {
    let user = r#"{"role":"user","content":"hi"}"#;
    let system = |role: &str, text: &str| format!(r#"{{"role":"{role}","content":{text}, "a":1}}"#);
    let one = |text: &str| format!("{},{user}", system("system", text));
    check(&one(r#""A\"""#), "T {{system}} U", &one(r#""T A\" U""#));
    check(&one(r#""A""#), "T", &one(r#""T""#));
    check(
        &one(r#"[{"type":"text","text":"A"},{"text":"B"}]"#),
        "{{system}}!",
        &one(r#""A\n\nB!""#),
    );
    let two = format!("{} , {} ,{user}", system("developer", r#""A""#), system("system", r#""B""#));
    check(&two, "{{system}}!", &format!("{}  ,{user}", system("developer", r#""A\n\nB!""#)));
    check(user, "T{{system}}", &format!(r#"{{"role":"system","content":"T"}},{user}"#));
    check("", "T", r#"{"role":"system","content":"T"}"#);
    check(user, "{{system}}", user);
    check(r#"{"role":"system"}"#, "T", r#"{"role":"system","content":"T"}"#);
    // Later ones are no system prompt.
    let later = format!("{user},{}", system("system", r#""A""#));
    check(&later, "{{system}}", &later);
}

#[test]
fn a_body_without_messages_stays() {
    let body = Bytes::from_static(br#"{"input":"x"}"#);
    assert_eq!(with_system(&body, "T").as_ptr(), body.as_ptr());
}

proptest! {
    #[test]
    fn nothing_panics(body in "\\{\"messages\":\\[[\\[\\]\\{\\}\",:0-9a-z]{0,30}(\\{\"(role|content)\":\"(system|developer)\"\\},?){0,3}\\]\\}") {
        let _ = with_system(&Bytes::from(body), "a{{system}}");
    }
}
