//! Reading: line by line, so that a journal may be larger than memory. What
//! cannot be read is named and passed over: the end of a file may be torn, and a
//! later gateway may have written another version.

use std::collections::{BTreeSet, VecDeque};
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use super::files::journals_in;
use super::format::{FORMAT, Head, Line, VERSION};

/// No call takes this many bytes; what does is no journal.
const LONGEST_LINE: u64 = 64 << 20;

/// A journal cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{path}: {source}", path = path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{path}: no journal is in there (backstay-….jsonl)", path = .0.display())]
    Empty(PathBuf),
}

/// What comes next.
#[derive(Debug)]
pub enum Item {
    Call(Box<Line>),
    Skipped(Skipped),
}

/// Something that was passed over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Skipped {
    pub file: PathBuf,
    /// From 1.
    pub line: u64,
    pub why: String,
}

/// Reads the calls of journals, one after the other.
#[derive(Debug)]
pub struct Reader {
    waiting: VecDeque<PathBuf>,
    open: Option<Open>,
    /// Files and bytes of all, and the bytes of those that are read.
    pub files: usize,
    pub bytes: u64,
    pub read: u64,
}

#[derive(Debug)]
struct Open {
    path: PathBuf,
    lines: BufReader<File>,
    number: u64,
}

impl Reader {
    /// Files as they are given, and of directories the journals in them, the
    /// oldest first; each once, however often it is named.
    pub fn open(paths: &[PathBuf]) -> Result<Self, OpenError> {
        let mut waiting = VecDeque::new();
        let mut known = BTreeSet::new();
        let mut bytes = 0;
        for path in paths {
            let unreadable = |source| OpenError::Unreadable { path: path.clone(), source };
            let found = if path.is_dir() {
                journals_in(path).map_err(unreadable)?
            } else {
                vec![path.clone()]
            };
            if found.is_empty() {
                return Err(OpenError::Empty(path.clone()));
            }
            for file in found {
                if !known.insert(file.canonicalize().map_err(unreadable)?) {
                    continue;
                }
                bytes += File::open(&file).and_then(|f| f.metadata()).map_err(unreadable)?.len();
                waiting.push_back(file);
            }
        }
        Ok(Self { files: waiting.len(), waiting, open: None, bytes, read: 0 })
    }

    /// Opens the next file and checks its head; `None` after the last.
    fn next_file(&mut self) -> Option<Result<(), Skipped>> {
        let path = self.waiting.pop_front()?;
        let skipped = |why: String| Skipped { file: path.clone(), line: 1, why };
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) => return Some(Err(skipped(format!("the file is left out: {error}")))),
        };
        let mut open = Open { path: path.clone(), lines: BufReader::new(file), number: 0 };
        let head = open.line(&mut self.read);
        Some(match head.map_err(|why| why.to_string()).and_then(|line| check_head(&line)) {
            Ok(()) => {
                self.open = Some(open);
                Ok(())
            }
            Err(why) => Err(skipped(format!("the file is left out: {why}"))),
        })
    }
}

impl Iterator for Reader {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        loop {
            let Some(open) = &mut self.open else {
                match self.next_file()? {
                    Ok(()) => continue,
                    Err(skipped) => return Some(Item::Skipped(skipped)),
                }
            };
            let skipped = |open: &Open, why: String| {
                Item::Skipped(Skipped { file: open.path.clone(), line: open.number, why })
            };
            let line = match open.line(&mut self.read) {
                Ok(line) => line,
                Err(error) => {
                    let item = skipped(open, format!("the rest is left out: {error}"));
                    self.open = None;
                    return Some(item);
                }
            };
            if line.is_empty() {
                self.open = None;
                continue;
            }
            return Some(match parse(&line) {
                Ok(call) => Item::Call(Box::new(call)),
                Err(why) => skipped(open, why),
            });
        }
    }
}

impl Open {
    /// The next line with its newline; empty at the end.
    fn line(&mut self, read: &mut u64) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        let count = (&mut self.lines).take(LONGEST_LINE).read_until(b'\n', &mut line)?;
        *read += count as u64;
        self.number += 1;
        if count as u64 == LONGEST_LINE && !line.ends_with(b"\n") {
            return Err(io::Error::other("a line of more than 64 MiB"));
        }
        Ok(line)
    }
}

fn check_head(line: &[u8]) -> Result<(), String> {
    let head: Head = serde_json::from_slice(line)
        .map_err(|_| "it does not begin as a journal does".to_owned())?;
    if head.format != FORMAT {
        return Err(format!("it is a {:?}, not a {FORMAT:?}", short(&head.format)));
    }
    if head.version != VERSION {
        return Err(format!(
            "it has version {} of the format, written by Backstay {}; this one reads version \
             {VERSION}",
            head.version,
            short(&head.gateway)
        ));
    }
    Ok(())
}

fn parse(line: &[u8]) -> Result<Line, String> {
    serde_json::from_slice(line).map_err(|error| {
        if line.ends_with(b"\n") {
            format!("no call can be read: {error}")
        } else {
            "the line is torn: the gateway was writing it, or it ended while it was".to_owned()
        }
    })
}

fn short(text: &str) -> String {
    text.chars().take(40).collect()
}

/// A text of a journal, fit to be shown: anybody may have written the file, and a
/// terminal does what control characters say.
pub(super) fn shown(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

impl std::fmt::Display for Skipped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}: {}", Path::display(&self.file), self.line, shown(&self.why))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const HEAD: &str = "{\"format\":\"backstay-journal\",\"version\":1,\"gateway\":\"0.1.0\",\
                        \"contract\":\"c\",\"created_unix_ms\":1}\n";
    const CALL: &str = "{\"id\":\"bs-1\",\"at_unix_ms\":1,\"call\":{\"model\":\"m\",\
        \"operation\":\"chat\",\"needs\":[],\"input_tokens\":1,\"seed\":1,\"own_policy\":false},\
        \"route\":{\"name\":\"r\",\"settings\":\"{}\",\"cooldown_max_ms\":1,\"candidates\":[]},\
        \"policy\":{\"name\":\"default\",\"digest\":\"d\"},\"decisions\":[],\
        \"end\":{\"outcome\":\"delivered\",\"status\":200,\"attempts\":1,\"duration_ms\":1}}\n";

    /// `call` for a call, else why something was passed over.
    fn read(files: &[(&str, String)]) -> Vec<String> {
        let home = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(home.path().join(name), text).unwrap();
        }
        let reader = Reader::open(&[home.path().to_owned()]).unwrap();
        reader
            .map(|item| match item {
                Item::Call(_) => "call".to_owned(),
                Item::Skipped(skipped) => {
                    let name = skipped.file.file_name().unwrap().to_string_lossy().into_owned();
                    format!("{name}:{}: {}", skipped.line, skipped.why)
                }
            })
            .collect()
    }

    #[test]
    fn what_cannot_be_read_is_named_and_passed_over() {
        let torn = &CALL[..CALL.len() / 2];
        let newer = HEAD.replace("\"version\":1", "\"version\":2").replace("0.1.0", "9.9");
        let said = read(&[
            ("backstay-1.jsonl", format!("{HEAD}{CALL}{{\"id\":3}}\n{CALL}{torn}")),
            ("backstay-2.jsonl", format!("{newer}{CALL}")),
            ("backstay-3.jsonl", "hello\n".to_owned()),
            ("backstay-4.jsonl", String::new()),
            ("backstay-5.jsonl", format!("{HEAD}{CALL}")),
            ("notes.txt", "not a journal".to_owned()),
        ]);
        let expected = [
            "call",
            "backstay-1.jsonl:3: no call can be read: ",
            "call",
            "backstay-1.jsonl:5: the line is torn",
            "backstay-2.jsonl:1: the file is left out: it has version 2 of the format, written by \
             Backstay 9.9",
            "backstay-3.jsonl:1: the file is left out: it does not begin as a journal does",
            "backstay-4.jsonl:1: the file is left out: it does not begin as a journal does",
            "call",
        ];
        assert_eq!(said.len(), expected.len(), "{said:#?}");
        for (said, expected) in said.iter().zip(expected) {
            assert!(said.starts_with(expected), "{said} does not begin with {expected}");
        }
    }

    #[test]
    fn fields_of_later_gateways_are_passed_over() {
        let more = CALL.replace("\"at_unix_ms\":1", "\"at_unix_ms\":1,\"novel\":{\"a\":[1]}");
        assert_eq!(read(&[("backstay-1.jsonl", format!("{HEAD}{more}"))]), ["call"]);
    }

    #[test]
    fn what_is_not_there_is_an_error() {
        let home = tempfile::tempdir().unwrap();
        let empty = Reader::open(&[home.path().to_owned()]).unwrap_err().to_string();
        assert!(empty.contains("no journal is in there"), "{empty}");
        let missing = Reader::open(&[home.path().join("none")]).unwrap_err().to_string();
        assert!(missing.contains("none: No such file"), "{missing}");
    }
}
