//! The files of a journal: appended to, rotated when full, the oldest deleted.
//! Private to the user that the gateway runs as.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::format::{FORMAT, Head, VERSION};
use crate::policy::contract_version;

const PREFIX: &str = "backstay-";
const SUFFIX: &str = ".jsonl";
/// No head has more bytes.
const LONGEST_HEAD: u64 = 1_024;
/// Files of one millisecond; nobody rotates faster.
const MOST_NAMES: u32 = 1_000;

/// One directory, and the file in it that is written to.
#[derive(Debug)]
pub struct Files {
    directory: PathBuf,
    /// Bytes of a file; a line more goes to the next one.
    max_file: u64,
    /// Bytes of all files; the oldest make room.
    max_total: u64,
    current: Option<Current>,
}

#[derive(Debug)]
struct Current {
    file: File,
    path: PathBuf,
    size: u64,
    /// Without one there is nothing in it to keep.
    has_lines: bool,
}

impl Files {
    pub fn new(directory: PathBuf, max_file: u64, max_total: u64) -> Self {
        Self { directory, max_file, max_total, current: None }
    }

    /// Appends a line, which ends in a newline. After an error the next line
    /// begins another file: what became of this one is not known.
    pub fn append(&mut self, line: &[u8], unix_ms: u64) -> io::Result<()> {
        let size = line.len() as u64;
        if self.current.as_ref().is_some_and(|current| current.size + size > self.max_file) {
            self.current = None;
        }
        let current = match self.current.take() {
            Some(current) => current,
            None => self.next(unix_ms)?,
        };
        let current = self.current.insert(current);
        let written = current.file.write_all(line);
        current.size += size;
        match &written {
            Ok(()) => current.has_lines = true,
            Err(_) => {
                self.current.take().inspect(Current::discard_without_lines);
            }
        }
        written
    }

    /// Whether a line of so many bytes has a place in any file.
    pub const fn has_place_for(&self, bytes: usize) -> bool {
        bytes as u64 + LONGEST_HEAD <= self.max_file
    }

    pub fn path(&self) -> Option<&Path> {
        self.current.as_ref().map(|current| current.path.as_path())
    }

    /// Begins a file with its head, and makes room for it.
    fn next(&mut self, unix_ms: u64) -> io::Result<Current> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.directory)?;
        let head = head(unix_ms)?;
        self.make_room(head.len() as u64)?;
        let (file, path) = self.create(unix_ms)?;
        Current { file, path, size: 0, has_lines: false }.begun(&head)
    }

    fn create(&self, unix_ms: u64) -> io::Result<(File, PathBuf)> {
        for number in 0..MOST_NAMES {
            let path = self.directory.join(format!("{PREFIX}{unix_ms:014}-{number:03}{SUFFIX}"));
            let file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(&path);
            match file {
                Ok(file) => return Ok((file, path)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::from(io::ErrorKind::AlreadyExists))
    }

    /// Deletes the oldest files until a full one more fits, and those that are
    /// shorter than a head: a full disk left them, and they take no bytes that
    /// would ever make them the ones to go.
    fn make_room(&self, head: u64) -> io::Result<()> {
        let mut total = self.max_file;
        let mut sizes = Vec::new();
        for path in journals_in(&self.directory)? {
            // One that has just been deleted by someone else takes no room.
            let size = fs::metadata(&path).map_or(0, |metadata| metadata.len());
            if size < head {
                remove(&path)?;
                continue;
            }
            total += size;
            sizes.push((path, size));
        }
        for (path, size) in sizes {
            if total <= self.max_total {
                break;
            }
            remove(&path)?;
            total -= size;
        }
        Ok(())
    }
}

impl Current {
    /// With its head; a file that cannot have one does not stay.
    fn begun(mut self, head: &[u8]) -> io::Result<Self> {
        match self.file.write_all(head) {
            Ok(()) => Ok(Self { size: head.len() as u64, ..self }),
            Err(error) => {
                self.discard_without_lines();
                Err(error)
            }
        }
    }

    /// A disk that is full would get such a file with every try.
    fn discard_without_lines(&self) {
        if !self.has_lines {
            // If it cannot be removed either, the error that led here says why.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Removes a file, if it is there.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn head(unix_ms: u64) -> io::Result<Vec<u8>> {
    let head = Head {
        format: FORMAT.to_owned(),
        version: VERSION,
        gateway: env!("CARGO_PKG_VERSION").to_owned(),
        contract: format!("backstay:policy@{}", contract_version()),
        created_unix_ms: unix_ms,
    };
    let mut line = serde_json::to_vec(&head)?;
    line.push(b'\n');
    Ok(line)
}

/// The journals in a directory, the oldest first.
pub fn journals_in(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(PREFIX) && name.ends_with(SUFFIX) && entry.file_type()?.is_file() {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const LINE: &[u8] = b"{\"a line\": \"of thirty-two bytes\"}\n";

    fn sizes(directory: &Path) -> Vec<u64> {
        let size = |path: PathBuf| fs::metadata(path).unwrap().len();
        journals_in(directory).unwrap().into_iter().map(size).collect()
    }

    #[test]
    fn files_are_rotated_and_the_oldest_deleted() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("journal");
        let mut files = Files::new(directory.clone(), 500, 2_000);
        let mut first = None;
        for number in 0..200 {
            files.append(LINE, 1_700_000_000_000 + number).unwrap();
            let sizes = sizes(&directory);
            assert!(sizes.iter().all(|size| *size <= 500), "{sizes:?}");
            assert!(sizes.iter().sum::<u64>() <= 2_000, "{sizes:?}");
            first = first.or_else(|| files.path().map(Path::to_owned));
        }
        assert_eq!(sizes(&directory).len(), 4);
        assert!(!first.unwrap().exists(), "the oldest is gone");
        let text = fs::read_to_string(files.path().unwrap()).unwrap();
        assert!(text.starts_with("{\"format\":\"backstay-journal\",\"version\":1,"), "{text}");
    }

    #[test]
    fn files_are_private_and_others_are_left_alone() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("deep/journal");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let mut files = Files::new(directory.clone(), 500, 500);
        files.append(LINE, 1).unwrap();
        assert_eq!(mode(&directory), 0o700);
        assert_eq!(mode(files.path().unwrap()), 0o600);
        let others = ["backstay-notes.txt", "other.jsonl"].map(|name| directory.join(name));
        for other in &others {
            fs::write(other, vec![0; 10_000]).unwrap();
        }
        for number in 0..100 {
            files.append(LINE, 2 + number).unwrap();
        }
        assert!(others.iter().all(|other| other.exists()));
        assert_eq!(sizes(&directory).len(), 1);
    }

    /// A file that takes no bytes, as on a full disk.
    fn full(path: &Path, has_lines: bool) -> Current {
        fs::write(path, "").unwrap();
        Current { file: File::open(path).unwrap(), path: path.to_owned(), size: 0, has_lines }
    }

    #[test]
    fn a_full_disk_does_not_collect_files_without_lines() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("backstay-1.jsonl");
        full(&path, false).begun(b"head\n").unwrap_err();
        assert!(!path.exists(), "without a head");
        for has_lines in [false, true] {
            let mut files = Files::new(home.path().to_owned(), 500, 2_000);
            files.current = Some(full(&path, has_lines));
            files.append(LINE, 1).unwrap_err();
            assert_eq!(path.exists(), has_lines);
            assert_eq!(files.path(), None, "what became of it is not known");
        }
        // What was left before goes with the next file.
        fs::write(&path, "{\"format\":").unwrap();
        let mut files = Files::new(home.path().to_owned(), 500, 2_000);
        files.append(LINE, 1).unwrap();
        assert!(!path.exists(), "shorter than a head");
        assert_eq!(sizes(home.path()).len(), 1);
    }

    #[test]
    fn a_clock_that_stands_still_makes_no_file_twice() {
        let home = tempfile::tempdir().unwrap();
        let mut files = Files::new(home.path().to_owned(), 200, 10_000);
        for _ in 0..30 {
            files.append(LINE, 5).unwrap();
        }
        assert!(sizes(home.path()).len() > 5);
    }
}
