//! A policy's file as `check` and `bench` are given it, and the configuration
//! whose limits and pins hold for it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use super::super::serve::limits;
use super::super::{MISUSED, USUAL_FILE, cache, complain, environment};
use crate::clock::Clock;
use crate::config::{self, Policies, PolicyLimits};
use crate::policy::inspect::Inspector;
use crate::policy::{Compiler, Digest, LibraryConfig, Limits, LoadFault, name_of, read_whole};

#[derive(Debug, clap::Args)]
pub struct PolicyFile {
    /// The component: a .wasm file. Its name without the ending is the policy's;
    /// of a policy.wasm, as builds leave it, its directory's is.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The configuration whose [policies] hold: limits, pins, cache. Without it
    /// backstay.toml, and where there is none the defaults.
    #[arg(long, short, value_name = "FILE", env = "BACKSTAY_CONFIG")]
    config: Option<PathBuf>,
    /// Print one JSON document.
    #[arg(long)]
    pub json: bool,
}

/// All that is known before anything is compiled.
#[derive(Debug)]
pub struct Opened {
    pub name: String,
    pub path: PathBuf,
    pub bytes: Vec<u8>,
    pub digest: Digest,
    pub pin: Option<Digest>,
    pub limits: Limits,
    pub inspector: Inspector,
}

/// Why the file is not opened: the message is out, this is the exit code.
pub type Ended = ExitCode;

impl PolicyFile {
    /// Reads the file and prepares what loads it; complains if that cannot be.
    pub fn open(&self) -> Result<Opened, Ended> {
        let policies = self.policies()?;
        let bytes = self.read()?;
        let name = name_of(&self.file);
        let limits =
            limits(&policies.as_ref().map_or_else(PolicyLimits::default, |p| p.limits.clone()));
        let pins = policies.as_ref().map(|policies| &policies.pins);
        let pin = pins.and_then(|pins| pins.get(&name)).copied().map(Digest::from_bytes);
        let clock = Clock::start();
        let inspector = Inspector::open(&LibraryConfig {
            directory: None,
            cache: cache::directory(&policies.map_or_else(Default::default, |it| it.cache)),
            limits: limits.clone(),
            compiler: std::env::current_exe().map_or(Compiler::InProcess, Compiler::Child),
            clock: Arc::new(move || clock.now()),
        });
        let inspector = inspector.map_err(|fault| failed(&fault))?;
        let (path, digest) = (self.file.clone(), Digest::of(&bytes));
        Ok(Opened { name, path, bytes, digest, pin, limits, inspector })
    }

    fn policies(&self) -> Result<Option<Policies>, Ended> {
        let path = match &self.config {
            Some(path) => path,
            None if Path::new(USUAL_FILE).exists() => Path::new(USUAL_FILE),
            None => return Ok(None),
        };
        let policies = config::load_policies(path, &environment);
        policies.map(Some).map_err(|problems| misused(&problems))
    }

    fn read(&self) -> Result<Vec<u8>, Ended> {
        let file = self.file.display();
        match read_whole(&self.file) {
            Ok(bytes) => Ok(bytes),
            Err(LoadFault::Read(error)) => Err(misused(&format!(
                "{file}: cannot be read: {error}; name a policy's .wasm file"
            ))),
            Err(fault) => Err(failed(&format!("{file}: refused: {fault}"))),
        }
    }
}

pub fn failed(problem: &dyn std::fmt::Display) -> Ended {
    complain(problem);
    ExitCode::FAILURE
}

pub fn misused(problem: &dyn std::fmt::Display) -> Ended {
    complain(problem);
    ExitCode::from(MISUSED)
}
