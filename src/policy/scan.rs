//! What changed in the directory of policies. Events of the file system are no
//! more than a reason to look.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use super::loading::Job;
use super::shelf::Shelf;

/// A file that stays the same for so long is taken for complete.
const SETTLE: Duration = Duration::from_millis(60);
/// Further files are left alone.
const FILES_MAX: usize = 256;

/// What tells whether a file may have changed. The time of the last change of
/// its inode cannot be set by hand, so a file that was restored with its old
/// time and size differs too.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fingerprint {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Found {
    path: PathBuf,
    fingerprint: Fingerprint,
}

/// What is left to do after a look.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Left {
    /// Something has not settled yet: look again.
    pub unsettled: bool,
    /// Something changed that is still being loaded: look again after that.
    pub busy: bool,
}

#[derive(Debug)]
pub struct Scanner {
    directory: PathBuf,
    /// What the files looked like when they were last read.
    seen: BTreeMap<String, Fingerprint>,
    /// Being loaded; until that is done they are not read again.
    busy: BTreeSet<String>,
}

impl Scanner {
    pub const fn new(directory: PathBuf) -> Self {
        Self { directory, seen: BTreeMap::new(), busy: BTreeSet::new() }
    }

    /// At the start files are taken as they are: nobody is to wait for one that
    /// will be read again as soon as it changes.
    pub fn first(&mut self) -> Vec<Job> {
        let all = self.look();
        all.into_iter().map(|(name, found)| self.begin(name, found)).collect()
    }

    /// The files to be read now. Notes those that are gone.
    pub fn changed(&mut self, kept: &Shelf) -> (Vec<Job>, Left) {
        let first = self.look();
        self.seen.retain(|name, _| first.contains_key(name));
        kept.note_deleted(|name| first.contains_key(name));
        if !first.iter().any(|(name, found)| self.is_changed(name, found)) {
            return (Vec::new(), Left::default());
        }
        std::thread::park_timeout(SETTLE);
        let mut jobs = Vec::new();
        let mut left = Left::default();
        for (name, found) in self.look() {
            if !self.is_changed(&name, &found) {
                continue;
            }
            if self.busy.contains(&name) {
                left.busy = true;
            } else if first.get(&name) == Some(&found) {
                jobs.push(self.begin(name, found));
            } else {
                left.unsettled = true;
            }
        }
        (jobs, left)
    }

    /// A file was read; one that did not hold still has to be read again.
    pub fn finished(&mut self, name: &str, held_still: bool) {
        self.busy.remove(name);
        if !held_still {
            self.forget(name);
        }
    }

    /// The file is read again, also if it stays as it is.
    pub fn forget(&mut self, name: &str) {
        self.seen.remove(name);
    }

    /// The same, unless it is being read just now.
    pub fn try_again(&mut self, name: &str) {
        if !self.busy.contains(name) {
            self.forget(name);
        }
    }

    fn begin(&mut self, name: String, found: Found) -> Job {
        let Found { path, fingerprint } = found;
        self.seen.insert(name.clone(), fingerprint);
        self.busy.insert(name.clone());
        Job { name, path, fingerprint }
    }

    fn is_changed(&self, name: &str, found: &Found) -> bool {
        self.seen.get(name) != Some(&found.fingerprint)
    }

    /// Policy files by name; those that begin with a dot are nobody's. Symbolic
    /// links are followed: a mounted `ConfigMap` consists of them.
    fn look(&self) -> BTreeMap<String, Found> {
        // A directory that is not there (yet) holds nothing.
        let Ok(entries) = fs::read_dir(&self.directory) else { return BTreeMap::new() };
        entries
            .filter_map(|entry| {
                let path = entry.ok()?.path();
                let name = path.file_name()?.to_str()?.strip_suffix(".wasm")?.to_owned();
                if name.starts_with('.') {
                    return None;
                }
                let metadata = fs::metadata(&path).ok()?;
                let fingerprint = fingerprint(&metadata);
                metadata.is_file().then_some((name, Found { path, fingerprint }))
            })
            .take(FILES_MAX)
            .collect()
    }
}

pub fn fingerprint(metadata: &fs::Metadata) -> Fingerprint {
    Fingerprint {
        device: metadata.dev(),
        inode: metadata.ino(),
        size: metadata.size(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    }
}
