//! `backstay policy check | bench | list | rollback`, through the binary, and
//! the commands of the admin listener.
#![expect(clippy::unwrap_used, reason = "helpers fail like tests")]

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use backstay::policy::{BUILT_IN, Digest};
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::client::{Reply, chat, exchange, get, within};
use crate::support::gateway::{Gateway, Setup, provider};
use crate::support::guests::{from_text, misbehaving, picking, variant};
use crate::support::process::{self, Process};

/// A directory with these files.
fn directory(files: &[(&str, &[u8])]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, content) in files {
        std::fs::write(directory.path().join(name), content).unwrap();
    }
    directory
}

/// Runs the verb there, without a variable set: exit code, standard output,
/// standard error.
fn run(directory: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_backstay"));
    let output = command.env_clear().current_dir(directory).arg("policy").args(arguments);
    let output = output.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Slow machines are slow, also at tests.
const UNHURRIED: &str = "[policies]\ntime_limit = \"2s\"\n";

#[test]
fn check_says_what_the_loader_would() {
    let first = wat::parse_str(include_str!("../contract/first-0.1.0.wat")).unwrap();
    let files = [("first.wasm", &*first), ("backstay.toml", UNHURRIED.as_bytes())];
    let place = directory(&files);
    let (code, said, _) = run(place.path(), &["check", "first.wasm"]);
    assert_eq!(code, Some(0), "{said}");
    let digest = Digest::of(&first);
    for part in [
        "0.1.0 (this gateway speaks 0.1.0)",
        "backstay:policy/exchange@0.1.0",
        "time of 2.0 s",
        "memory of 16 MiB",
        "256 KiB",
        "select-provider",
        "launch 1",
        "rate-limited: reselect, cool down 1000 ms",
        "accept",
        &format!("[policies.pin]\n\"first\" = \"sha256:{digest}\""),
    ] {
        assert!(said.contains(part), "{part}:\n{said}");
    }
    let (code, said, _) = run(place.path(), &["check", "first.wasm", "--json"]);
    let document = json(&said);
    assert_eq!((code, &document["accepted"]), (Some(0), &true.into()), "{said}");
    assert_eq!(document["digest"], format!("sha256:{digest}"));
    assert_eq!(document["limits"]["time_us"], 2_000_000);
    assert_eq!(document["answers"][0]["memory_bytes"], 262_144);
    assert_eq!(document["imports"]["wasi"].as_array().map(Vec::len), Some(0));
    assert_eq!(document["size_bytes"], first.len());
}

#[test]
fn what_one_verb_compiled_is_kept_for_all() {
    let place = directory(&[("guest.wasm", misbehaving()), ("off.toml", OFF.as_bytes())]);
    let caches = tempfile::tempdir().unwrap();
    let check = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_backstay"));
        command.env_clear().env("XDG_CACHE_HOME", caches.path()).current_dir(place.path());
        let output = command.args(["--log", "info", "policy", "check", "guest.wasm"]);
        let output = output.args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stderr).unwrap().contains("compiling policy")
    };
    assert!(check(&["--config", "off.toml"]));
    assert_eq!(std::fs::read_dir(caches.path()).unwrap().count(), 0);
    assert!(check(&[]) && !check(&[]), "the second time there is nothing to compile");
    assert_eq!(std::fs::read_dir(caches.path().join("backstay")).unwrap().count(), 1);
}

#[test]
fn what_cannot_be_said_is_a_failure() {
    let place = directory(&[]);
    let example = |out: std::fs::File| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_backstay"));
        command.env_clear().current_dir(place.path()).args(["simulate", "--example"]);
        command.stdout(out).output().unwrap()
    };
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = example(full);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot write"), "{output:?}");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = example(std::os::fd::OwnedFd::from(writer).into());
    assert_eq!(output.status.code(), Some(0), "a reader may leave: {output:?}");
}

/// No cache, and no hurry.
const OFF: &str = "[policies]\ntime_limit = \"2s\"\ncache = \"off\"\n";

#[test]
fn check_says_why_a_file_is_refused() {
    let odd = from_text(
        "",
        "(i32.store (i32.const 0) (i32.const 1)) (i32.store (i32.const 8) (i32.const 99))",
    );
    let newer = include_str!("../contract/first-0.1.0.wat").replace("@0.1.0", "@0.3.0");
    let newer = wat::parse_str(newer).unwrap();
    let pinned = format!("[policies.pin]\nmine = \"sha256:{}\"\n", "ab".repeat(32));
    let files: [(&str, &[u8]); 6] = [
        ("newer.wasm", &newer),
        ("loop.wasm", &from_text("", "(loop (br 0))")),
        ("text.wasm", b"#!/bin/sh"),
        ("odd.wasm", &odd),
        ("mine.wasm", BUILT_IN),
        ("pinned.toml", pinned.as_bytes()),
    ];
    let place = directory(&files);
    for (arguments, expected, reason) in [
        (&["check", "newer.wasm"][..], 1, "built for contract 0.3.0"),
        (&["check", "loop.wasm"], 1, "time limit"),
        (&["check", "text.wasm"], 1, "not WebAssembly"),
        (&["check", "odd.wasm"], 1, "which cannot be done"),
        (&["check", "mine.wasm"], 0, "The gateway would load it."),
        (&["check", "mine.wasm", "--config", "pinned.toml"], 1, "pinned to sha256:abab"),
        (&["check", "mine.wasm", "--config", "gone.toml"], 2, "gone.toml: cannot be read"),
        (&["check", "gone.wasm"], 2, "gone.wasm: cannot be read"),
        (&["check", "newer.wasm", "--json"], 1, "\"accepted\": false"),
        (&["check", "."], 2, "cannot be read"),
        (&["check"], 2, "FILE"),
    ] {
        let (code, out, err) = run(place.path(), arguments);
        let said = format!("{out}{err}");
        assert_eq!(code, Some(expected), "{arguments:?}: {said}");
        assert!(said.contains(reason), "{arguments:?}: {said}");
    }
}

#[test]
fn bench_measures_against_the_limits_and_beside_the_built_in() {
    let place = directory(&[
        ("guest.wasm", misbehaving()),
        ("loop.wasm", &from_text("", "(loop (br 0))")),
        ("backstay.toml", UNHURRIED.as_bytes()),
    ]);
    let (code, said, _) =
        run(place.path(), &["bench", "guest.wasm", "--iterations", "20", "--json"]);
    let document = json(&said);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(document["limits"]["time_us"], 2_000_000);
    for of in ["policy", "built_in"] {
        let verbs: Vec<_> = document[of].as_array().unwrap().iter().collect();
        assert_eq!(verbs.len(), 3, "{said}");
        for effort in verbs {
            assert_eq!(effort["calls"], 20);
            for (kind, at_least) in [("time_us", 1.0), ("memory_bytes", 65_536.0), ("fuel", 100.0)]
            {
                let (p50, p99) = (effort[kind]["p50"].as_f64(), effort[kind]["p99"].as_f64());
                assert!(p50 >= Some(at_least) && p99 >= p50, "{of} {kind}: {effort}");
            }
        }
    }
    let (code, said, _) = run(place.path(), &["bench", "guest.wasm", "--time", "50ms"]);
    assert_eq!(code, Some(0), "{said}");
    for part in
        ["time of 2.0 s", "memory of 16 MiB", "fuel", "the built-in", "guest will run on the"]
    {
        assert!(said.contains(part), "{part}:\n{said}");
    }
    for (arguments, expected) in [
        (&["bench", "loop.wasm"][..], 1),
        (&["bench", "gone.wasm"], 2),
        (&["bench", "guest.wasm", "--iterations", "0"], 2),
        (&["bench", "guest.wasm", "--time", "1h"], 2),
    ] {
        assert_eq!(run(place.path(), arguments).0, Some(expected), "{arguments:?}");
    }
}

const TOKEN: &str = "[admin]\ntoken = { env = \"SHOP\" }\n";

/// A gateway as a process with a policy of two versions, and its directory of
/// policies; with an admin token if asked for.
async fn serving(token: bool) -> (Process, TempDir) {
    let policies = directory(&[("guest.wasm", &variant("one"))]);
    let a = provider("a", "ok");
    let home = policies.path().display();
    let text = Setup::new()
        .provider("a", &a)
        .route_with("m", "policy = \"guest\"", &["a/m"])
        .with(&format!("[policies]\ndirectory = \"{home}\"\ntime_limit = \"2s\"\n"))
        .text();
    let text = if token { text.replace("[admin]\n", TOKEN) } else { text };
    let process = Process::start(&text).await;
    std::fs::write(policies.path().join("guest.wasm"), variant("two")).unwrap();
    // Of the line that says it is active; an earlier one says it is being compiled.
    let active = format!("\"digest\":\"{}\",\"quick\"", short("two"));
    process.line(&active).await;
    (process, policies)
}

fn short(version: &str) -> String {
    Digest::of(&variant(version)).short()
}

/// Waits until the version is active: its line in the log comes a moment later.
async fn list_until(admin: &str, version: &str) -> String {
    within(version, async {
        loop {
            let (code, said, err) = run(Path::new("."), &["list", "--admin", admin]);
            assert_eq!(code, Some(0), "{said}{err}");
            if said.contains(&short(version)) {
                return said;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_gateway_lists_and_rolls_back() {
    let (process, _policies) = serving(false).await;
    let admin = format!("http://{}", process.admin);
    let said = list_until(&admin, "two").await;
    for part in ["guest", "default", "active", "built-in", &short("one"), "0.1.0"] {
        assert!(said.contains(part), "{part}:\n{said}");
    }
    let here = Path::new(".");
    let (code, said, err) = run(here, &["rollback", "guest", "--admin", &admin]);
    assert_eq!(code, Some(0), "{said}{err}");
    assert!(said.contains(&format!("back from {} to {}", short("two"), short("one"))), "{said}");
    let (_, said, _) = run(here, &["list", "--admin", &admin, "--json"]);
    let list = json(&said);
    let guest =
        list["policies"].as_array().unwrap().iter().find(|policy| policy["name"] == "guest");
    let two = Digest::of(&variant("two")).to_string();
    assert_eq!(guest.unwrap()["rolled_back_from"], two, "{said}");
    assert_eq!(guest.unwrap()["previous"], two);
    let (_, said, _) = run(here, &["rollback", "guest", "--admin", &admin, "--json"]);
    assert_eq!(json(&said)["to"], two, "forward again");

    // The address of the configuration, and the errors.
    let of_config = format!("[admin]\nlisten = \"{}\"\n", process.admin);
    let place = directory(&[
        ("backstay.toml", of_config.as_bytes()),
        ("off.toml", b"[admin]\nlisten = \"off\"\n"),
        ("bad.toml", b"[admin]\nlisten = 7\n"),
    ]);
    for (arguments, expected, part) in [
        (&["list"][..], 0, "guest"),
        (&["rollback", "default"], 1, "nothing to go back to"),
        (&["rollback", "gone"], 1, "no policy \"gone\" is loaded; there are: default, guest"),
        (&["rollback", "../status"], 1, "cannot be a policy's name"),
        (&["list", "--admin", "http://127.0.0.1:1"], 1, "is it running"),
        (&["list", "--admin", "ftp://127.0.0.1"], 2, "no URL of an admin listener"),
        (&["list", "--token-env", "GONE"], 2, "GONE"),
        (&["list", "--config", "off.toml"], 2, "is \"off\""),
        (&["list", "--config", "bad.toml"], 2, "bad.toml:2:10"),
        (&["list", "--config", "gone.toml"], 2, "gone.toml"),
    ] {
        let (code, out, err) = run(place.path(), arguments);
        assert_eq!(code, Some(expected), "{arguments:?}: {out}{err}");
        assert!(format!("{out}{err}").contains(part), "{arguments:?}: {out}{err}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_token_opens_the_commands() {
    let (process, _policies) = serving(true).await;
    let admin = format!("http://{}", process.admin);
    // The variables SHOP and BLOG are set there; the first is the token.
    let verb = |arguments: &[&str]| {
        let arguments = [&["policy"], arguments, &["--admin", &admin]].concat();
        process::run(&arguments, "[admin]\nlisten = \"127.0.0.1:1\"\n")
    };
    let (code, said) = verb(&["list"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("wants its admin token"), "{said}");
    let (code, said) = verb(&["rollback", "guest", "--token-env", "BLOG"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("the one given is not it") && !said.contains("5f0c9d"), "{said}");
    let (code, said) = verb(&["list", "--token-env", "SHOP"]);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = verb(&["rollback", "guest", "--token-env", "SHOP"]);
    assert_eq!(code, Some(0), "{said}");
    let of_config =
        format!("[admin]\ntoken = {{ env = \"SHOP\" }}\nlisten = \"{}\"\n", process.admin);
    let (code, said) = process::run(&["policy", "rollback", "guest"], &of_config);
    assert_eq!(code, Some(0), "the token of the configuration: {said}");
}

async fn command(admin: SocketAddr, headers: &[(&str, &str)], path: &str) -> Reply {
    let mut request = Request::builder().method(Method::POST).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    exchange(admin, request.body(Full::new(Bytes::new())).unwrap()).await
}

const OWN: [(&str, &str); 2] = [("host", "127.0.0.1"), ("x-backstay-command", "1")];

#[tokio::test(flavor = "multi_thread")]
async fn no_page_in_a_browser_can_command() {
    let a = provider("a", "ok");
    let text =
        Setup::new().provider("a", &a).route_with("m", "policy = \"guest\"", &["a/m"]).text();
    let gateway = Gateway::start(&text, &[("guest.wasm", &picking(0))]).await;
    std::fs::write(gateway.directory.path().join("policies/guest.wasm"), picking(1)).unwrap();
    gateway.shared.library.rescan_now();
    let digest = || gateway.shared.library.current().policy("guest").unwrap().digest();
    let current = Digest::of(&picking(1));
    assert_eq!(digest(), current);
    let path = "/policies/guest/rollback";
    for (headers, reason) in [
        (&[("host", "127.0.0.1")][..], "x-backstay-command"),
        (&[("host", "rebound.example"), OWN[1]], "Host"),
        (&[OWN[0], OWN[1], ("origin", "https://lure.example")], "Origin"),
        (&[OWN[0], ("content-type", "text/plain")], "x-backstay-command"),
    ] {
        let reply = command(gateway.admin, headers, path).await;
        assert_eq!(reply.status, 403, "{headers:?}: {}", reply.text());
        assert!(reply.text().contains(reason), "{headers:?}: {}", reply.text());
        assert_eq!(digest(), current, "{headers:?}");
    }
    assert_eq!(get(gateway.admin, path).await.status, 405);
    assert_eq!(command(gateway.admin, &OWN, "/status").await.status, 405);
    assert_eq!(command(gateway.admin, &OWN, "/policies/gone/rollback").await.status, 404);
    assert_eq!(command(gateway.admin, &OWN, "/policies/default/rollback").await.status, 409);
    assert_eq!(command(gateway.admin, &OWN, path).await.status, 200);
    assert_eq!(digest(), Digest::of(&picking(0)));
    let listed = gateway.see("/policies").await;
    let guest = &listed["policies"][1];
    assert_eq!(guest["digest"], Digest::of(&picking(0)).to_string(), "{listed}");
    assert_eq!(guest["rolled_back_from"], current.to_string(), "{listed}");
    assert_eq!(gateway.see("/status").await["policies"][1]["digest"], guest["digest"]);
    let reply = gateway.ask(&chat("m", "hi", false)).await;
    let decided = format!("guest@{}", Digest::of(&picking(0)).short());
    assert_eq!(reply.header("x-backstay-policy"), Some(&*decided));
}

#[tokio::test(flavor = "multi_thread")]
async fn pins_of_the_configuration_hold_and_follow_a_reload() {
    let a = provider("a", "ok");
    let base = Setup::new().provider("a", &a).route_with("m", "policy = \"guest\"", &["a/m"]);
    let pinned = |version: u32| {
        let digest = Digest::of(&picking(version));
        base.clone().with(&format!("[policies.pin]\nguest = \"sha256:{digest}\"\n")).text()
    };
    let gateway = Gateway::start(&pinned(1), &[("guest.wasm", &picking(0))]).await;
    let current = || gateway.shared.library.current().policy("guest").map(|policy| policy.digest());
    assert_eq!(current(), None);
    let reply = gateway.ask(&chat("m", "hi", false)).await;
    assert_eq!(reply.status, 200);
    assert!(reply.header("x-backstay-policy").unwrap().starts_with("default@"));
    gateway.reload(&pinned(0));
    gateway.shared.library.rescan_now();
    assert_eq!(current(), Some(Digest::of(&picking(0))));
    gateway.reload(&pinned(1));
    assert_eq!(current(), None);
    gateway.reload(&base.text());
    gateway.shared.library.rescan_now();
    assert_eq!(current(), Some(Digest::of(&picking(0))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_of_the_configuration_reports_refused_pins() {
    let policies = directory(&[("guest.wasm", &picking(0)), ("default.wasm", &picking(1))]);
    let a = provider("a", "ok");
    let home = policies.path().display();
    let text = |pins: &str| {
        let setup = Setup::new().provider("a", &a).route("m", &["a/m"]);
        setup.with(&format!("[policies]\ndirectory = \"{home}\"\n[policies.pin]\n{pins}")).text()
    };
    let good = format!("guest = \"sha256:{}\"\n", Digest::of(&picking(0)));
    let (code, said) = process::run(&["check"], &text(&good));
    assert_eq!(code, Some(0), "{said}");
    let bad = format!("{good}default = \"sha256:{}\"\ngone = \"sha256:{0}\"\n", "0a".repeat(32));
    let (code, said) = process::run(&["check"], &text(&bad));
    assert_eq!(code, Some(2), "{said}");
    for part in
        ["[policies.pin] default: the name is pinned to sha256:0a0a", "gone: there is no file"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
}
