//! From a file's bytes to a policy that may be asked, or the reason why not, in
//! words for its author: what is wrong, and what to do.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::Clock;
use super::compile::{CompileFault, Workshop, in_process};
use super::engine::PolicyEngine;
use super::handle::{Digest, Facts, Origin, Policy};
use super::notes::Notes;
use super::pool::SlowPool;
use super::program::{Instances, LinkFault, Program};
use super::sandbox::Owner;
use super::shelf::PinFault;
use super::trial::{self, TrialFault};

/// Larger files are not read.
pub const FILE_BYTES_MAX: u64 = 64 << 20;

const NAME_BYTES_MAX: usize = 64;
const OF_EVERY_BUILD: &str = "policy";
const MAGIC: &[u8] = b"\0asm";
const CORE_MODULE: [u8; 4] = [1, 0, 0, 0];
const COMPONENT: [u8; 4] = [0x0d, 0, 1, 0];

/// Why a file does not become a policy.
#[derive(Debug, thiserror::Error)]
pub enum LoadFault {
    #[error("the file cannot be read: {0}")]
    Read(#[from] std::io::Error),
    #[error("the file is larger than {max} MiB", max = FILE_BYTES_MAX >> 20)]
    TooLarge,
    #[error("the name may have 1 to 64 letters, digits, dots, dashes and underscores")]
    Name,
    #[error("the file is empty")]
    Empty,
    #[error("the file holds nothing but zeros: was the disk full when it was written?")]
    Zeros,
    #[error("this is not WebAssembly: it does not begin with `\\0asm`")]
    NotWasm,
    #[error(
        "this is a core module, not a component: build with --target wasm32-wasip2, or wrap it \
         with `wasm-tools component new`"
    )]
    CoreModule,
    #[error("the file is truncated: {0}")]
    Truncated(String),
    #[error("it does not compile: {0}")]
    Compile(#[from] CompileFault),
    #[error(transparent)]
    Link(#[from] LinkFault),
    #[error(transparent)]
    Trial(#[from] TrialFault),
    #[error(transparent)]
    Pin(#[from] PinFault),
}

impl LoadFault {
    /// Whether the same bytes may be taken another time: the machine is at fault,
    /// or may be, and not the file.
    pub const fn may_pass(&self) -> bool {
        match self {
            Self::Read(_) | Self::Compile(CompileFault::Compiler(_)) => true,
            Self::Trial(fault) => fault.out_of_time,
            Self::TooLarge
            | Self::Name
            | Self::Empty
            | Self::Zeros
            | Self::NotWasm
            | Self::CoreModule
            | Self::Truncated(_)
            | Self::Compile(CompileFault::Invalid(_))
            | Self::Link(_)
            | Self::Pin(_) => false,
        }
    }
}

/// All that loading needs beside the bytes.
#[derive(Clone)]
pub struct Loader {
    pub engine: Arc<PolicyEngine>,
    pub workshop: Arc<Workshop>,
    pub pool: Arc<SlowPool>,
    pub clock: Clock,
}

impl fmt::Debug for Loader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loader").field("engine", &self.engine).finish_non_exhaustive()
    }
}

impl Loader {
    /// The same with an engine that counts fuel.
    pub fn metered(&self) -> wasmtime::Result<Self> {
        let engine = Arc::new(PolicyEngine::metered(self.engine.limits().clone())?);
        Ok(Self { engine, ..self.clone() })
    }

    /// Checks, compiles, links and tries a component.
    pub fn load(
        &self,
        name: &str,
        origin: Origin,
        bytes: &[u8],
        notes: Arc<Notes>,
    ) -> Result<Policy, LoadFault> {
        let digest = Digest::of(bytes);
        let before = (self.clock)();
        check_shape(bytes)?;
        let (component, instances) = match origin {
            Origin::BuiltIn => (in_process(self.engine.wasmtime(), bytes)?, Instances::Reused),
            Origin::File(_) => {
                (self.workshop.compile(&self.engine, name, bytes)?, Instances::Fresh)
            }
        };
        let compile_time = (self.clock)().since(before);
        let name: Arc<str> = name.into();
        let owner = Owner {
            name: Arc::clone(&name),
            notes,
            log: Arc::default(),
            clock: Arc::clone(&self.clock),
        };
        let program = Program::link(&self.engine, &component, owner, instances)?;
        trial::check_types(&program)?;
        let quick = trial::run(&program, &self.clock)? || origin == Origin::BuiltIn;
        let loaded_at = (self.clock)();
        let interfaces = program.interfaces().clone();
        let facts = Facts { name, origin, digest, interfaces, compile_time, loaded_at, quick };
        Ok(Policy::new(facts, program, Arc::clone(&self.clock), Arc::clone(&self.pool)))
    }
}

/// Whether a policy may have this name.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(fits)
}

/// What a policy's file is called: as the file is, or, since every build leaves
/// a `policy.wasm`, as the directory it was built in.
#[must_use]
pub fn name_of(file: &Path) -> String {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    if stem != OF_EVERY_BUILD {
        return stem;
    }
    // Of a bare file name the parent is "", which is no directory's name.
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    let home = parent.unwrap_or(Path::new(".")).canonicalize().ok();
    let home = home.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy());
    home.filter(|name| is_name(name)).map_or(stem, Cow::into_owned)
}

pub fn check_name(name: &str) -> Result<(), LoadFault> {
    if is_name(name) { Ok(()) } else { Err(LoadFault::Name) }
}

/// How long a question waits for a slow policy's thread: not much longer than
/// it could take to answer it.
pub fn patience(time_limit: Duration) -> Duration {
    time_limit * 4
}

/// What can be said of the bytes without compiling them.
fn check_shape(bytes: &[u8]) -> Result<(), LoadFault> {
    if bytes.is_empty() {
        return Err(LoadFault::Empty);
    }
    if bytes.iter().all(|byte| *byte == 0) {
        return Err(LoadFault::Zeros);
    }
    let magic = &bytes[..bytes.len().min(MAGIC.len())];
    if !MAGIC.starts_with(magic) {
        return Err(LoadFault::NotWasm);
    }
    let Some(version) = bytes.get(4..8) else {
        return Err(LoadFault::Truncated("it ends within the first eight bytes".to_owned()));
    };
    if version == CORE_MODULE {
        return Err(LoadFault::CoreModule);
    }
    if version != COMPONENT {
        let message = format!("unknown version {version:02x?} of WebAssembly");
        return Err(CompileFault::Invalid(message).into());
    }
    check_sections(bytes)
}

/// A component is a row of sections, each led by its kind and its length.
fn check_sections(bytes: &[u8]) -> Result<(), LoadFault> {
    let mut at = 8;
    while at < bytes.len() {
        let end = section_end(bytes, at);
        match end {
            Some(end) if end <= bytes.len() => at = end,
            Some(end) => {
                let has = bytes.len();
                return Err(LoadFault::Truncated(format!("it has {has} bytes of at least {end}")));
            }
            None => {
                return Err(LoadFault::Truncated(format!("it ends in a section's head, at {at}")));
            }
        }
    }
    Ok(())
}

/// Where the section at `at` ends; `None` if its head is not complete.
fn section_end(bytes: &[u8], at: usize) -> Option<usize> {
    let mut length: u64 = 0;
    for (place, byte) in (0..5).zip(bytes.get(at + 1..)?) {
        length |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return usize::try_from(length).ok()?.checked_add(at + 2 + place);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], expected: &str) {
        let shown = match check_shape(bytes) {
            Ok(()) => "fine".to_owned(),
            Err(fault) => fault.to_string(),
        };
        assert!(shown.contains(expected), "{bytes:02x?}: {shown}");
    }

    #[test]
    fn what_a_build_leaves_is_called_as_its_directory_is() {
        let scratch = tempfile::tempdir().expect("there is room for temporary files");
        for (path, expected) in [
            ("prefer/policy.wasm", "prefer"),
            ("prefer/other.wasm", "other"),
            ("no name/policy.wasm", "policy"),
            ("gone/policy.wasm", "policy"),
        ] {
            let file = scratch.path().join(path);
            if !path.starts_with("gone") {
                std::fs::create_dir_all(file.parent().expect("it has one")).expect("it is ours");
            }
            assert_eq!(name_of(&file), expected, "{path}");
        }
    }

    #[test]
    fn only_what_the_machine_may_be_to_blame_for_may_pass() {
        let invalid = CompileFault::Invalid("of no type".to_owned());
        let trial = |reason: &str| {
            let verb = crate::failover::consult::Verb::SelectProvider;
            LoadFault::Trial(TrialFault::new(verb, reason.to_owned()))
        };
        for (fault, expected) in [
            (LoadFault::Read(std::io::ErrorKind::Other.into()), true),
            (LoadFault::Compile(CompileFault::Compiler("killed".to_owned())), true),
            (trial("time limit reached"), true),
            (LoadFault::Compile(invalid), false),
            (trial("stack limit reached"), false),
            (LoadFault::Empty, false),
        ] {
            assert_eq!(fault.may_pass(), expected, "{fault}");
        }
    }

    #[test]
    fn files_that_are_no_component_are_told_apart() {
        check(b"", "empty");
        check(&[0; 4096], "zeros");
        check(b"#!/bin/sh", "not WebAssembly");
        check(b"\0asm", "truncated");
        check(b"\0asm\x01\0\0\0", "wasm-tools component new");
        check(b"\0asm\x02\0\0\0", "unknown version");
        check(b"\0asm\x0d\0\x01\0", "fine");
        check(b"\0asm\x0d\0\x01\0\0", "truncated: it ends in a section's head, at 8");
        check(b"\0asm\x0d\0\x01\0\0\x02ab", "fine");
        check(b"\0asm\x0d\0\x01\0\0\x80\x01a", "truncated: it has 12 bytes of at least 139");
        check(b"\0asm\x0d\0\x01\0\0\xff\xff\xff\xff\xff", "truncated");
    }
}
