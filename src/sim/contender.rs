//! The policies that are tried: loaded once, and taken afresh for every run, so
//! that no run knows of another.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::clock::VirtualClock;
use crate::failover::Decider;
use crate::policy::{self, Compiler, Library, LibraryConfig, Limits, OpenFault, Policy};

/// Time on the processor says nothing in a simulation: only what never ends is
/// cut off.
const TIME_LIMIT: Duration = Duration::from_secs(5);

/// Why a policy cannot be tried.
#[derive(Debug, thiserror::Error)]
pub enum BenchFault {
    #[error("{}: cannot be read: {error}", file.display())]
    Read { file: PathBuf, error: std::io::Error },
    #[error("{}: {reason}", file.display())]
    Refused { file: PathBuf, reason: String },
    #[error("no temporary directory: {0}")]
    Directory(std::io::Error),
    #[error(transparent)]
    Open(#[from] OpenFault),
}

/// The built-in and the policies of these files.
#[derive(Debug)]
pub struct Bench {
    library: Library,
    /// What the library watches.
    _directory: tempfile::TempDir,
    files: Vec<PathBuf>,
}

/// One policy that is tried.
#[derive(Clone, Debug)]
pub struct Contender {
    /// As the file is called, or `built-in`.
    pub name: String,
    /// The digest's first eight digits.
    pub digest: String,
    own: Option<Arc<Policy>>,
    builtin: Arc<Policy>,
}

impl Bench {
    /// Loads the files as the gateway would. `cache` is for what is compiled.
    pub fn open(
        files: &[&Path],
        compiler: Compiler,
        cache: Option<PathBuf>,
    ) -> Result<Self, BenchFault> {
        let directory = tempfile::tempdir().map_err(BenchFault::Directory)?;
        for (number, file) in files.iter().enumerate() {
            let copy = directory.path().join(format!("{}.wasm", name_of(number)));
            std::fs::copy(file, copy)
                .map_err(|error| BenchFault::Read { file: file.to_path_buf(), error })?;
        }
        let clock = VirtualClock::default();
        let library = Library::open(LibraryConfig {
            directory: Some(directory.path().to_path_buf()),
            limits: Limits { time: TIME_LIMIT, ..Limits::default() },
            clock: clock.of_policies(),
            compiler,
            cache,
        })?;
        let files: Vec<PathBuf> = files.iter().map(|file| file.to_path_buf()).collect();
        let bench = Self { library, _directory: directory, files };
        for number in 0..bench.files.len() {
            bench.check(number)?;
        }
        Ok(bench)
    }

    /// Whether a file became a policy.
    fn check(&self, number: usize) -> Result<(), BenchFault> {
        let name = name_of(number);
        if self.library.current().policy(&name).is_some() {
            return Ok(());
        }
        let status = self.library.status().into_iter().find(|status| status.name == name);
        let refusal = status.and_then(|status| status.last_refusal);
        let reason = refusal.map_or_else(|| "it did not load".to_owned(), |refusal| refusal.reason);
        Err(BenchFault::Refused { file: self.files[number].clone(), reason })
    }

    #[must_use]
    pub fn builtin(&self) -> Contender {
        let builtin = self.library.builtin();
        Contender {
            name: "built-in".to_owned(),
            digest: builtin.short_digest().to_owned(),
            own: None,
            builtin,
        }
    }

    /// The policy of the file with this number.
    #[must_use]
    pub fn contender(&self, number: usize) -> Contender {
        let own = self.library.current().policy(&name_of(number));
        let file = self.files.get(number);
        let name = file.map_or_else(|| name_of(number), |file| policy::name_of(file));
        let digest = own.as_ref().map_or_else(String::new, |own| own.short_digest().to_owned());
        Contender { name, digest, own, builtin: self.library.builtin() }
    }
}

/// What a file is called within the bench: its own name may not be a policy's.
fn name_of(number: usize) -> String {
    format!("policy-{number}")
}

/// Who is asked in one run.
#[derive(Debug)]
pub struct Deciders {
    own: Option<Arc<Policy>>,
    builtin: Arc<Policy>,
}

impl Contender {
    /// For one run: nothing remembered, no faults counted, and time as that of
    /// the run.
    #[must_use]
    pub fn afresh(&self, clock: &VirtualClock) -> Deciders {
        let afresh = |policy: &Arc<Policy>| Arc::new(policy.afresh(clock.of_policies()));
        Deciders { own: self.own.as_ref().map(afresh), builtin: afresh(&self.builtin) }
    }
}

impl Deciders {
    #[must_use]
    pub fn has_own(&self) -> bool {
        self.own.is_some()
    }

    #[must_use]
    pub fn decider(&self, decider: Decider) -> &Policy {
        match (decider, &self.own) {
            (Decider::Policy, Some(own)) => own,
            (Decider::Policy | Decider::BuiltIn | Decider::Fallback, _) => &self.builtin,
        }
    }

    /// Counts a fault that was found in the policy's answer.
    pub fn count_fault(&self, reason: &str) {
        if let Some(own) = &self.own {
            own.count_fault(reason);
        }
    }
}
