//! Builds the policies that are embedded, each a crate of its own, as
//! WebAssembly components, and leaves them in `OUT_DIR`: the built-in, and the
//! two examples that `backstay demo` swaps in.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, exit};

const TARGET: &str = "wasm32-wasip2";

/// Where each policy is, what its component is called, and the variable that
/// names the component to the code that embeds it.
const POLICIES: [(&str, &str, &str); 3] = [
    ("policies/default", "backstay_policy_default", "BACKSTAY_BUILTIN_POLICY"),
    ("policies/examples/prefer", "backstay_policy_prefer", "BACKSTAY_PREFER_POLICY"),
    ("policies/examples/careless", "backstay_policy_careless", "BACKSTAY_CARELESS_POLICY"),
];

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
    println!("cargo::rerun-if-changed=wit");
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    // One for all, so that what they share is compiled once.
    let target_dir = Path::new(&variable("OUT_DIR")).join("policies");
    for (crate_dir, component, path_variable) in POLICIES {
        for part in ["Cargo.toml", "Cargo.lock", "src", "wit"] {
            // A file that is not there would count as changed every time.
            if root.join(crate_dir).join(part).exists() {
                println!("cargo::rerun-if-changed={crate_dir}/{part}");
            }
        }
        build(&root.join(crate_dir), &target_dir);
        let component = target_dir.join(TARGET).join("release").join(component);
        println!("cargo::rustc-env={path_variable}={}.wasm", component.display());
    }
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
            "policies are compiled for {TARGET}, which is not installed; run\n\n    \
             rustup target add {TARGET}\n"
        ));
    }
    fail(&format!("{} does not build:\n{errors}", crate_dir.display()));
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
