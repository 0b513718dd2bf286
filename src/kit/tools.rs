//! Running the tools of a language: each by a command whose output is kept
//! aside, and shown when it fails.

use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::process::{Command, Stdio};

use super::build::BuildFault;

/// Of what a tool printed this much is shown, from the end.
const SHOWN_BYTES: u64 = 8 << 10;

/// What cargo sets for whatever it runs. Inherited by a build they would put
/// its output elsewhere, or build for another target.
const OF_AN_OUTER_BUILD: [&str; 6] = [
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_ENCODED_RUSTFLAGS",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_WRAPPER",
    "RUSTFLAGS",
];

/// A program that a language's build takes, and where it comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tool {
    pub program: &'static str,
    /// What it is, as it is called.
    pub called: &'static str,
    /// On Debian and its descendants.
    pub debian: &'static str,
    /// Anywhere.
    pub elsewhere: &'static str,
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { program, called, debian, elsewhere } = self;
        write!(
            f,
            "`{program}` is missing, which is {called}\n  Debian:    {debian}\n  elsewhere: {elsewhere}"
        )
    }
}

pub const CARGO: Tool = Tool {
    program: "cargo",
    called: "Rust's build tool",
    debian: "apt-get install rustup && rustup default stable && rustup target add wasm32-wasip2",
    elsewhere: "https://rustup.rs, then: rustup target add wasm32-wasip2",
};
pub const RUST_TARGET: Tool = Tool {
    program: "wasm32-wasip2",
    called: "the target Rust compiles policies for",
    debian: "rustup target add wasm32-wasip2",
    elsewhere: "rustup target add wasm32-wasip2",
};
pub const NODE: Tool = Tool {
    program: "node",
    called: "Node.js, 20 or later",
    debian: "apt-get install nodejs npm (Debian 13 or later)",
    elsewhere: "https://nodejs.org",
};
pub const NPM: Tool = Tool {
    program: "npm",
    called: "the package manager of Node.js",
    debian: "apt-get install npm",
    elsewhere: "it comes with https://nodejs.org",
};
pub const PYTHON: Tool = Tool {
    program: "python3",
    called: "Python, 3.10 or later, with its venv module",
    debian: "apt-get install python3 python3-venv",
    elsewhere: "https://python.org",
};
pub const MAKE: Tool = Tool {
    program: "make",
    called: "what runs a Makefile",
    debian: "apt-get install make",
    elsewhere: "with your system's developer tools",
};
pub const CLANG: Tool = Tool {
    program: "clang",
    called: "a C compiler that compiles to WebAssembly, 14 or later",
    debian: "apt-get install clang",
    elsewhere: "LLVM from your package manager or https://llvm.org (Apple's own clang does not); \
                another by CLANG=…",
};
pub const WASM_LD: Tool = Tool {
    program: "wasm-ld",
    called: "LLVM's linker for WebAssembly",
    debian: "apt-get install lld",
    elsewhere: "lld of the same LLVM as clang",
};

/// What a command left behind.
#[derive(Debug)]
pub struct Ran {
    pub success: bool,
    said: File,
    stdout: File,
}

impl Ran {
    /// The end of what it printed.
    pub fn said(&mut self) -> String {
        tail(&mut self.said).unwrap_or_default()
    }

    pub fn stdout(mut self) -> io::Result<File> {
        self.stdout.rewind()?;
        Ok(self.stdout)
    }
}

fn tail(file: &mut File) -> io::Result<String> {
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(SHOWN_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(SHOWN_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.trim_end().to_owned())
}

/// A command of a tool, to be run in this directory.
pub fn command(program: impl AsRef<OsStr>, directory: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(directory).stdin(Stdio::null());
    for name in OF_AN_OUTER_BUILD {
        command.env_remove(name);
    }
    command
}

/// Runs a command to its end, both its outputs kept together.
pub fn run(command: &mut Command, tool: Tool) -> Result<Ran, BuildFault> {
    let said = tempfile::tempfile()?;
    let stdout = said.try_clone()?;
    run_into(command, tool, said, stdout)
}

/// Runs a command to its end, its standard output kept apart.
pub fn run_apart(command: &mut Command, tool: Tool) -> Result<Ran, BuildFault> {
    run_into(command, tool, tempfile::tempfile()?, tempfile::tempfile()?)
}

fn run_into(
    command: &mut Command,
    tool: Tool,
    said: File,
    stdout: File,
) -> Result<Ran, BuildFault> {
    command.stderr(said.try_clone()?).stdout(stdout.try_clone()?);
    match command.status() {
        Ok(status) => Ok(Ran { success: status.success(), said, stdout }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(BuildFault::Missing(tool)),
        Err(error) => Err(BuildFault::Io(error)),
    }
}

/// Runs a command that must succeed.
pub fn succeed(command: &mut Command, tool: Tool, step: &str) -> Result<(), BuildFault> {
    let mut ran = run(command, tool)?;
    if ran.success {
        return Ok(());
    }
    Err(BuildFault::Failed { step: step.to_owned(), said: ran.said() })
}
