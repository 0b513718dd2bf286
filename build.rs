//! Builds the built-in policy, `policies/default`, as a WebAssembly component
//! and leaves it in `OUT_DIR`, where `src/policy/builtin.rs` embeds it.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, exit};

const TARGET: &str = "wasm32-wasip2";

/// What cargo and its callers set for the outer build. Inherited by the inner
/// one, they would put its output where the outer waits for a lock, build it
/// for another target, or put clippy in the compiler's place.
const OF_THE_OUTER_BUILD: [&str; 9] = [
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_BUILD_TARGET_DIR",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_TARGET_DIR",
    "CLIPPY_ARGS",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_WRAPPER",
    "RUSTFLAGS",
];

fn main() {
    println!("cargo::rerun-if-changed=policies/default/Cargo.toml");
    println!("cargo::rerun-if-changed=policies/default/Cargo.lock");
    println!("cargo::rerun-if-changed=policies/default/src");
    println!("cargo::rerun-if-changed=wit");
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    let target_dir = Path::new(&variable("OUT_DIR")).join("builtin-policy");
    build(&root.join("policies/default"), &target_dir);
    let component = target_dir.join(TARGET).join("release/backstay_policy_default.wasm");
    println!("cargo::rustc-env=BACKSTAY_BUILTIN_POLICY={}", component.display());
}

fn build(crate_dir: &Path, target_dir: &Path) {
    let mut cargo = Command::new(variable("CARGO"));
    cargo
        .args(["build", "--lib", "--release", "--locked", "--target", TARGET, "--target-dir"])
        .arg(target_dir)
        .current_dir(crate_dir);
    for name in OF_THE_OUTER_BUILD {
        cargo.env_remove(name);
    }
    let output = cargo.output().unwrap_or_else(|error| fail(&format!("cannot run cargo: {error}")));
    if output.status.success() {
        return;
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    if errors.contains("can't find crate for `core`")
        || errors.contains("target may not be installed")
    {
        fail(&format!(
            "the built-in policy is compiled for {TARGET}, which is not installed; run\n\n    \
             rustup target add {TARGET}\n"
        ));
    }
    fail(&format!("the built-in policy does not build:\n{errors}"));
}

fn variable(name: &str) -> String {
    let value = env::var_os(name).and_then(|value| value.into_string().ok());
    value.unwrap_or_else(|| fail(&format!("cargo did not set {name}")))
}

#[expect(clippy::print_stderr, reason = "how a build script says why it failed")]
fn fail(message: &str) -> ! {
    eprintln!("error: {message}");
    exit(1);
}
