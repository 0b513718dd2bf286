//! Policies for tests: one guest that misbehaves on request, versions of it,
//! and components made of WebAssembly text.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

const TARGET: &str = "wasm32-wasip2";
const LABEL: &[u8] = b"BACKSTAY-LABEL::";
const LABEL_BYTES: usize = 16;

/// The guest of `tests/guests`, built once. Settings say how it misbehaves:
/// `{"do": "loop"}`.
pub fn misbehaving() -> &'static [u8] {
    static COMPONENT: OnceLock<Vec<u8>> = OnceLock::new();
    COMPONENT.get_or_init(|| std::fs::read(build()).expect("the guest was just built"))
}

/// The same guest under another label (at most 16 bytes), and so with another
/// digest. Asked for its `label` it answers with it.
pub fn variant(label: &str) -> Vec<u8> {
    assert!(label.len() <= LABEL_BYTES, "{label} is too long");
    let mut component = misbehaving().to_vec();
    let place = component
        .windows(LABEL.len())
        .position(|window| window == LABEL)
        .expect("the guest has its label in its data")
        + LABEL.len();
    component[place..place + LABEL_BYTES].fill(b'.');
    component[place..place + label.len()].copy_from_slice(label.as_bytes());
    component
}

/// A policy made of WebAssembly text. Asked anything it does `deed` (in a
/// function without parameters and results), and then answers with what stands
/// at address 0: nothing but zeros, unless the deed wrote there, and that is no
/// opinion. `fields` are put into the module; `$table` is there.
pub fn from_text(fields: &str, deed: &str) -> Vec<u8> {
    let verb = |name: &str, drops: &str| {
        format!(
            r#"(func (export "backstay:policy/failover-policy@0.1.0#{name}")
                 (param i32) (result i32) {drops} (call $deed) (i32.const 0))"#
        )
    };
    // A fresh instance is given its borrowed bodies as handles 1 and 2.
    let (request, output) =
        ("(call $drop-request (i32.const 1))", "(call $drop-output (i32.const 2))");
    let module = format!(
        r#"(module
             (import "backstay:policy/exchange@0.1.0" "[resource-drop]request"
               (func $drop-request (param i32)))
             (import "backstay:policy/exchange@0.1.0" "[resource-drop]output"
               (func $drop-output (param i32)))
             (memory (export "memory") 4)
             (table $table 1 funcref)
             (global $free (mut i32) (i32.const 1024))
             (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
               (local $block i32)
               (local.set $block
                 (i32.and (i32.add (global.get $free) (i32.const 15)) (i32.const -16)))
               (global.set $free (i32.add (local.get $block) (local.get 3)))
               (local.get $block))
             (func $deed {deed})
             {fields}
             {} {} {})"#,
        verb("select-provider", request),
        verb("classify-error", ""),
        verb("validate-output", &format!("{request} {output}")),
    );
    let mut module = wat::parse_str(module).expect("the text is WebAssembly");
    let mut resolve = Resolve::default();
    let wit = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("wit");
    let (package, _) = resolve.push_path(wit).expect("the contract parses");
    let world = resolve.select_world(&[package], Some("policy")).expect("it has a world");
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)
        .expect("the contract can be embedded");
    ComponentEncoder::default()
        .module(&module)
        .and_then(ComponentEncoder::encode)
        .expect("the module fits the contract")
}

/// A policy that always picks this candidate, small and quickly compiled: to
/// tell many versions apart.
pub fn picking(candidate: u32) -> Vec<u8> {
    let deed = format!(
        "(i32.store offset=0 (i32.const 0) (i32.const 1))
         (i32.store offset=8 (i32.const 0) (i32.const {candidate}))"
    );
    from_text("", &deed)
}

fn build() -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/guests");
    let target_dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("guests");
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["build", "--release", "--locked", "--target", TARGET, "--target-dir"])
        .arg(&target_dir)
        .current_dir(root);
    // Of the outer build; see build.rs.
    for name in [
        "CARGO_BUILD_RUSTFLAGS",
        "CARGO_BUILD_TARGET",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_TARGET_DIR",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTC_WRAPPER",
        "RUSTFLAGS",
    ] {
        cargo.env_remove(name);
    }
    let output = cargo.output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    target_dir.join(TARGET).join("release/misbehaving.wasm")
}
