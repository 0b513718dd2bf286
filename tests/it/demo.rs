//! `backstay demo`, as a newcomer runs it: the whole gateway, a bad day, and
//! every answer checked. How long anything takes is not looked at.

use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn demo(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_backstay"))
        .arg("demo")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("the binary is there: cargo built it for this test")
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("no number: {value}"))
}

#[test]
fn no_client_notices_the_bad_day() {
    // Half the usual rate: the machine may be busy with other tests.
    let output = demo(&["--quick", "--json", "--rate", "20"]);
    let progress = String::from_utf8_lossy(&output.stderr);
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}; standard error: {progress}"));
    let shown = format!("{report:#}\n{progress}");
    assert_eq!(output.status.code(), Some(0), "{shown}");
    check_calls(&report, &shown);
    check_policies(&report, &shown);
}

fn check_calls(report: &Value, shown: &str) {
    let calls = &report["calls"];
    assert_eq!(number(&calls["failed"]), 0, "{shown}");
    assert!(number(&calls["would_have_failed"]) > 0, "{shown}");
    assert!(number(&calls["rescued"]) > 0, "{shown}");
    assert!(number(&calls["streamed"]) > 0 && number(&calls["whole"]) > 0, "{shown}");
    // Of the calls that went to alpha directly, all fail while it is dead.
    assert!(number(&report["direct_to_alpha"]["failed"]) > 0, "{shown}");

    let phases = report["phases"].as_array().expect("a list of phases");
    assert_eq!(phases.len(), 10, "{shown}");
    for phase in phases {
        assert!(number(&phase["calls"]) > 0, "{}: {shown}", phase["name"]);
        assert_eq!(phase["seen"], true, "{}: {shown}", phase["name"]);
    }
}

/// Policies changed under load, and broken ones harmed nobody.
fn check_policies(report: &Value, shown: &str) {
    let phase = |name: &str| {
        let mut phases = report["phases"].as_array().expect("a list of phases").iter();
        phases.find(|phase| phase["name"] == name).unwrap_or_else(|| panic!("{name} in {shown}"))
    };
    let decided = |name: &str, policy: &str| {
        let by = phase(name)["decided_by"].as_object().expect("calls by policy");
        by.iter().filter(|(tag, _)| tag.starts_with(policy)).map(|(_, n)| number(n)).sum::<u64>()
    };

    assert_eq!(decided("calm", "favourite@"), 0, "{shown}");
    assert!(decided("swap", "favourite@") > 0, "{shown}");
    assert!(number(&phase("swap")["answered_by"]["gamma"]) > 0, "{shown}");
    assert!(decided("recovery", "default@") > 0, "{shown}");

    let policies = &report["policies"];
    let refused = &policies["refused"];
    let reason = refused["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("truncated"), "{shown}");
    let serving = refused["serving"].as_str().unwrap_or_default();
    let of_torn = phase("torn")["decided_by"].as_object().expect("calls by policy");
    assert!(of_torn.contains_key(&format!("favourite@{serving}")), "{shown}");
    assert!(number(&policies["quarantined"]["faults"]) >= 5, "{shown}");
    assert_ne!(policies["quarantined"]["digest"], refused["serving"], "{shown}");
}

#[test]
fn bad_arguments_are_refused() {
    for arguments in [&["--seconds", "1"][..], &["--rate", "0"], &["--quick", "--seconds", "20"]] {
        let output = demo(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}
