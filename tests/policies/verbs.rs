//! `backstay policy new` and `backstay policy build`, as they are typed.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use backstay::policy::{BUILT_IN, Digest};

fn backstay(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_backstay"));
    command.arg("policy").current_dir(directory);
    command
}

/// Runs it, and returns what it said on both outputs.
fn expect(code: i32, command: &mut Command) -> String {
    let output: Output = command.output().expect("the binary was built for this test");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert_eq!(output.status.code(), Some(code), "{command:?}: {said}");
    said
}

fn scratch() -> tempfile::TempDir {
    tempfile::tempdir().expect("there is room for temporary files")
}

#[test]
fn a_policy_is_started_built_and_installed() {
    let directory = scratch();
    let here = directory.path();
    for lang in ["rust", "javascript", "python", "c"] {
        let name = format!("in-{lang}");
        let said = expect(0, backstay(here).args(["new", &name, "--lang", lang]));
        assert!(said.contains("backstay policy build"), "{said}");
        let read = |file: &str| fs::read_to_string(here.join(&name).join(file));
        assert!(read("scenario.toml").expect("it has a test").contains("[[case]]"));
        let readme = read("README.md").expect("it has a README");
        assert!(readme.contains(&format!("policy = \"{name}\"")), "{readme}");
        assert!(!readme.contains("my-policy"), "{readme}");
    }

    // The directory that a gateway here would watch is made; one that is typed is not.
    let said = expect(2, backstay(here).args(["build", "in-c", "--install", "polices"]));
    assert!(said.contains("no directory polices"), "{said}");
    let said = expect(2, backstay(here).args(["build", "in-c", "--install"]));
    assert!(said.contains("run it where the gateway's configuration is"), "{said}");
    let said = expect(2, backstay(here).args(["build", "in-c", "--install", "-c", "gone.toml"]));
    assert!(said.contains("gone.toml: cannot be read"), "{said}");
    // No more is read of the configuration than where the policies are.
    let config = "[providers.p]\napi_key = { env = \"NOT_SET_HERE\" }\n";
    fs::write(here.join("backstay.toml"), config).expect("the directory is writable");
    let said = expect(0, backstay(here).args(["build", "in-c", "--install"]));
    let built = fs::read(here.join("in-c/policy.wasm")).expect("it was built");
    assert!(said.contains(&format!("sha256:{}", Digest::of(&built))), "{said}");
    assert!(said.contains("no WASI"), "{said}");
    let installed = fs::read(here.join("policies/in-c.wasm")).expect("it was installed");
    assert_eq!(installed, built);
    // And nothing else is left there.
    assert_eq!(fs::read_dir(here.join("policies")).expect("it is there").count(), 1);
}

#[test]
fn what_cannot_be_started_is_told() {
    let directory = scratch();
    let here = directory.path();
    expect(0, backstay(here).args(["new", "mine", "--lang", "c"]));
    let said = expect(1, backstay(here).args(["new", "mine", "--lang", "rust"]));
    assert!(said.contains("mine is there already"), "{said}");
    assert!(!here.join("mine/Cargo.toml").exists(), "it was written into what is there");
    for name in ["", "a/b", "..", ".hidden", "größe", "with space", &"x".repeat(65)] {
        let said = expect(2, backstay(here).args(["new", name, "--lang", "c"]));
        assert!(said.contains("1 to 64 letters"), "{name}: {said}");
    }
    let said = expect(2, backstay(here).args(["new", "default", "--lang", "c"]));
    assert!(said.contains("would replace the built-in"), "{said}");
    expect(2, backstay(here).args(["new", "mine", "--lang", "cobol"]));
    assert_eq!(fs::read_dir(here).expect("it is there").count(), 1);
}

#[test]
fn what_cannot_be_built_is_told() {
    let directory = scratch();
    let here = directory.path();
    let said = expect(2, backstay(here).args(["build"]));
    assert!(said.contains("backstay policy new"), "{said}");
    let said = expect(2, backstay(here).args(["build", "nowhere"]));
    assert!(said.contains("no directory nowhere"), "{said}");

    for (lang, program) in
        [("rust", "cargo"), ("javascript", "node"), ("python", "python3"), ("c", "clang")]
    {
        expect(0, backstay(here).args(["new", lang, "--lang", lang]));
        let empty = here.join("no-programs");
        let said = expect(1, backstay(here).args(["build", lang]).env("PATH", empty));
        assert!(said.contains(&format!("`{program}` is missing")), "{lang}: {said}");
        assert!(said.contains("Debian:"), "{lang}: {said}");
    }

    fs::write(here.join("c/policy.c"), "no C at all").expect("the directory is writable");
    let said = expect(1, backstay(here).args(["build", "c"]));
    assert!(said.contains("policy.c:1:1"), "{said}");

    fs::write(here.join("javascript/policy.js"), "export const a = ;").expect("it is writable");
    let said = expect(1, backstay(here).args(["build", "javascript"]));
    assert!(said.contains("policy.js:1") && said.contains("SyntaxError"), "{said}");

    fs::write(here.join("python/pyproject.toml"), "[project]").expect("it is writable");
    let said = expect(1, backstay(here).args(["build", "python"]));
    assert!(said.contains("dependency-groups"), "{said}");
}

#[test]
fn what_is_installed_keeps_what_was_there_until_it_is_whole() {
    let directory = scratch();
    let here = directory.path();
    expect(0, backstay(here).args(["new", "mine", "--lang", "c"]));
    let said = expect(2, backstay(here).args(["build", "mine", "--install", "nowhere"]));
    assert!(said.contains("no directory nowhere"), "{said}");

    let policies = here.join("policies");
    fs::create_dir(&policies).expect("the directory is writable");
    let other = policies.join("other.wasm");
    fs::write(&other, BUILT_IN).expect("the directory is writable");
    // Whoever holds the old file open goes on reading the old file.
    let held = fs::File::open(&other).expect("it was just written");
    let install = ["build", "mine", "--install", "policies", "--name", "other"];
    expect(0, backstay(here).args(install));
    let held = held.metadata().expect("it is open").len();
    assert_eq!(held, BUILT_IN.len() as u64);
    assert_ne!(fs::read(&other).expect("it is there"), BUILT_IN);
    let bad = ["build", "mine", "--install", "policies", "--name", "a/b"];
    expect(2, backstay(here).args(bad));
}
