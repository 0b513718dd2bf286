//! A virtual environment with the official SDKs, made once per checkout, and
//! the scripts of `tests/sdk` run in it.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use sha2::{Digest as _, Sha256};

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sdk");
const REQUIREMENTS: &str = "requirements.txt";
const CONSTRAINTS: &str = "constraints.txt";
const REMEDY: &str = "the tests with the official SDKs need python3 (3.10 or later) with its venv \
                      module (Debian: python3-venv), and a package index for the first run";

/// Runs a script of `tests/sdk` to its end, with this on its standard input and
/// nothing of this process's environment: an SDK takes keys, URLs and proxies
/// from there.
pub fn run(script: &str, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(interpreter())
        .arg("-B")
        .arg(Path::new(SCRIPTS).join(script))
        .args(arguments)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the environment has an interpreter");
    let mut stdin = child.stdin.take().expect("it was asked for");
    // A script that does not read it says so itself.
    let _written = stdin.write_all(input.as_bytes());
    drop(stdin);
    child.wait_with_output().expect("the script was started")
}

/// The interpreter of the environment, which is made if it is not there.
fn interpreter() -> &'static Path {
    static INTERPRETER: OnceLock<PathBuf> = OnceLock::new();
    INTERPRETER.get_or_init(|| {
        let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let home = scratch.join(format!("sdk-venv-{}", fingerprint()));
        if !home.exists() {
            make(scratch, &home);
        }
        home.join("bin/python")
    })
}

/// Of all that decides what is in the environment.
fn fingerprint() -> String {
    let mut hash = Sha256::new();
    for file in [REQUIREMENTS, CONSTRAINTS] {
        let path = Path::new(SCRIPTS).join(file);
        hash.update(std::fs::read(path).expect("tests/sdk is complete"));
    }
    let mut python = Command::new("python3");
    hash.update(succeed(python.args(["-c", "import sys; print(sys.version, sys.prefix)"])));
    let digest = hash.finalize();
    let first = digest.first_chunk().expect("a digest has 32 bytes");
    format!("{:016x}", u64::from_be_bytes(*first))
}

/// Makes it elsewhere and moves it here: an attempt that breaks off leaves
/// nothing that looks like an environment.
fn make(scratch: &Path, home: &Path) {
    let attempt = tempfile::Builder::new().prefix("sdk-venv-").tempdir_in(scratch);
    let attempt = attempt.expect("cargo makes a directory for tests");
    let made = attempt.path().join("venv");
    succeed(Command::new("python3").args(["-m", "venv"]).arg(&made));
    succeed(
        Command::new(made.join("bin/python"))
            .args(["-m", "pip", "install", "--require-virtualenv", "--no-input", "--quiet"])
            .args(["--disable-pip-version-check", "--requirement", REQUIREMENTS])
            .args(["--constraint", CONSTRAINTS])
            .current_dir(SCRIPTS),
    );
    let moved = std::fs::rename(&made, home);
    // Another run of the tests may have been faster.
    assert!(home.exists(), "the environment could not be put in place: {moved:?}");
}

/// What the command printed. A machine without Python or without an index must
/// not pass for one on which the SDKs work.
fn succeed(command: &mut Command) -> Vec<u8> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{REMEDY}; {command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{REMEDY}; {command:?}: {}\n{said}", output.status);
    output.stdout
}
