//! What changed in the directory of policies, and what follows from it. Events
//! of the file system are no more than a reason to look.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::handle::{Digest, Origin};
use super::library::{FileRecord, FileRefusal, Shared};
use super::load::{FILE_BYTES_MAX, LoadFault};

/// A file that stays the same for so long is taken for complete.
const SETTLE: Duration = Duration::from_millis(60);
const NAME_BYTES_MAX: usize = 64;
/// Further files are left alone.
const FILES_MAX: usize = 256;

/// What tells whether a file may have changed. The time of the last change of
/// its inode cannot be set by hand, so a file that was restored with its old
/// time and size differs too.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Fingerprint {
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

pub struct Scanner {
    directory: PathBuf,
    /// What the files looked like when they were last read.
    seen: BTreeMap<String, Fingerprint>,
}

impl Scanner {
    pub fn new(directory: PathBuf) -> Self {
        Self { directory, seen: BTreeMap::new() }
    }

    /// At the start files are taken as they are: nobody is to wait for one that
    /// will be read again as soon as it changes.
    pub fn first_pass(&mut self, shared: &Shared) {
        for (name, found) in self.look() {
            self.read(&name, &found, shared);
        }
    }

    /// Returns whether there is something that has not settled yet.
    pub fn pass(&mut self, shared: &Shared) -> bool {
        let first = self.look();
        self.note_deleted(&first, shared);
        let changed =
            |name: &String, found: &Found| self.seen.get(name) != Some(&found.fingerprint);
        if !first.iter().any(|(name, found)| changed(name, found)) {
            return false;
        }
        std::thread::park_timeout(SETTLE);
        let mut unsettled = false;
        for (name, found) in self.look() {
            if self.seen.get(&name) == Some(&found.fingerprint) {
                continue;
            }
            let settled = first.get(&name) == Some(&found);
            unsettled |= !settled || !self.read(&name, &found, shared);
        }
        unsettled
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

    /// Reads a file and acts on its content. Returns whether it held still.
    fn read(&mut self, name: &str, found: &Found, shared: &Shared) -> bool {
        let content = read_whole(&found.path);
        if fs::metadata(&found.path).is_ok_and(|now| fingerprint(&now) != found.fingerprint) {
            return false;
        }
        self.seen.insert(name.to_owned(), found.fingerprint);
        match content {
            Ok(bytes) => take(name, &found.path, &bytes, shared),
            Err(fault) => refuse(name, &found.path, None, &fault, shared),
        }
        true
    }

    /// A file that is gone leaves its last good version in place.
    fn note_deleted(&mut self, present: &BTreeMap<String, Found>, shared: &Shared) {
        self.seen.retain(|name, _| present.contains_key(name));
        for (name, record) in shared.files().iter_mut() {
            if !record.deleted && !present.contains_key(name) {
                record.deleted = true;
                tracing::warn!(policy = name, "policy file is gone; its last good version stays");
            }
        }
        // What never was good is of no use without its file.
        shared.files().retain(|name, record| !record.deleted || shared.policy(name).is_some());
    }
}

fn fingerprint(metadata: &fs::Metadata) -> Fingerprint {
    Fingerprint {
        device: metadata.dev(),
        inode: metadata.ino(),
        size: metadata.size(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    }
}

fn read_whole(path: &Path) -> Result<Vec<u8>, LoadFault> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(LoadFault::TooLarge);
    }
    Ok(bytes)
}

/// Loads the content, unless it is what is current or was refused already.
fn take(name: &str, path: &Path, bytes: &[u8], shared: &Shared) {
    let digest = Digest::of(bytes);
    let origin = Origin::File(path.to_owned());
    let known_bad = shared.files().get(name).is_some_and(|record| {
        !record.deleted && record.refusal.as_ref().is_some_and(|r| r.digest == Some(digest))
    });
    if known_bad {
        return;
    }
    let current = shared.policy(name);
    if current
        .is_some_and(|policy| policy.digest() == digest && policy.facts().origin != Origin::BuiltIn)
    {
        record(name, path, None, shared);
        return;
    }
    let loaded = if is_name(name) {
        shared.loader.load(name, origin, bytes, shared.notes(name))
    } else {
        Err(LoadFault::Name)
    };
    match loaded {
        Ok(policy) => {
            record(name, path, None, shared);
            shared.activate(policy);
        }
        Err(fault) => refuse(name, path, Some(digest), &fault, shared),
    }
}

fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(fits)
}

fn refuse(name: &str, path: &Path, digest: Option<Digest>, fault: &LoadFault, shared: &Shared) {
    let current = shared.policy(name).map(|policy| policy.short_digest().to_owned());
    tracing::warn!(
        policy = name,
        file = %path.display(),
        digest = digest.map(|digest| digest.short()),
        serving = current.as_deref().unwrap_or("none"),
        "policy refused: {fault}"
    );
    let at = (shared.loader.clock)();
    record(name, path, Some(FileRefusal { reason: fault.to_string(), digest, at }), shared);
}

fn record(name: &str, path: &Path, refusal: Option<FileRefusal>, shared: &Shared) {
    let record = FileRecord { path: path.to_owned(), refusal, deleted: false };
    shared.files().insert(name.to_owned(), record);
}
