//! What changed in the directory of policies. Events of the file system are no
//! more than a reason to look.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use super::loading::Job;
use super::shelf::Shelf;

/// A file that stays the same for so long is taken for complete.
const SETTLE: Duration = Duration::from_millis(60);
/// Further files, in the order of their names, are left alone.
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
    /// How many files were too many, when that was last said.
    left_alone: usize,
}

impl Scanner {
    pub const fn new(directory: PathBuf) -> Self {
        Self { directory, seen: BTreeMap::new(), busy: BTreeSet::new(), left_alone: 0 }
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
    fn look(&mut self) -> BTreeMap<String, Found> {
        // A directory that is not there (yet) holds nothing.
        let Ok(entries) = fs::read_dir(&self.directory) else { return BTreeMap::new() };
        let policy = |entry: io::Result<fs::DirEntry>| {
            let path = entry.ok()?.path();
            let name = path.file_name()?.to_str()?.strip_suffix(".wasm")?.to_owned();
            (!name.starts_with('.')).then_some((name, path))
        };
        let mut files: BTreeMap<_, _> = entries.filter_map(policy).collect();
        let further = files.keys().nth(FILES_MAX).cloned();
        let further = further.map_or_else(BTreeMap::new, |first| files.split_off(&first));
        self.tell_of(&further);
        let found = |(name, path): (String, PathBuf)| {
            let metadata = fs::metadata(&path).ok()?;
            let fingerprint = fingerprint(&metadata);
            metadata.is_file().then_some((name, Found { path, fingerprint }))
        };
        files.into_iter().filter_map(found).collect()
    }

    /// Says once that files are left alone.
    fn tell_of(&mut self, further: &BTreeMap<String, PathBuf>) {
        let left_alone = further.len();
        if let Some(first) = further.keys().next()
            && left_alone != self.left_alone
        {
            tracing::warn!(
                directory = ?self.directory, left_alone, first,
                "more than {FILES_MAX} policy files: the further ones, by name, are left alone"
            );
        }
        self.left_alone = left_alone;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_by_name_are_taken() {
        let directory = tempfile::tempdir().unwrap();
        let mut scanner = Scanner::new(directory.path().to_owned());
        let write = |name: String| fs::write(directory.path().join(name), "x").unwrap();
        // Backwards, lest the order of writing be that of the names.
        for n in (0..FILES_MAX + 3).rev() {
            write(format!("p{n:03}.wasm"));
        }
        for nobodys in [".hidden.wasm", "readme.md"] {
            write(nobodys.to_owned());
        }
        let names: Vec<_> = scanner.look().into_keys().collect();
        let expected: Vec<_> = (0..FILES_MAX).map(|n| format!("p{n:03}")).collect();
        assert_eq!(names, expected);
        assert_eq!(scanner.left_alone, 3);
        fs::remove_file(directory.path().join("p000.wasm")).unwrap();
        assert!(scanner.look().contains_key("p256"));
        assert_eq!(scanner.left_alone, 2);
    }
}
