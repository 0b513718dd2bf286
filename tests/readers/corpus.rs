//! What is damaged: whole requests, answers, errors and streams, of files.

use std::path::{Path, PathBuf};

use backstay::dialect::Dialect;

/// A file's bytes, and whose they are.
#[derive(Clone, Debug)]
pub struct Seed {
    pub dialect: Dialect,
    pub bytes: Vec<u8>,
}

/// The golden files of the dialects and the seeds beside this file, in order.
pub fn corpus() -> Vec<Seed> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut seeds = Vec::new();
    for dialect in Dialect::ALL {
        let name = dialect.label().trim_start_matches("openai-");
        for root in ["readers/seeds", "golden/dialects"] {
            add(&tests.join(root).join(name), dialect, &mut seeds);
        }
        let own = seeds.iter().filter(|seed| seed.dialect == dialect).count();
        assert!(own >= 5, "the seeds of {name} are gone: {own}");
    }
    seeds
}

fn add(folder: &Path, dialect: Dialect, seeds: &mut Vec<Seed>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            add(&path, dialect, seeds);
        } else if path.extension().is_some_and(|end| end == "json" || end == "sse") {
            let bytes = std::fs::read(&path).expect("a seed");
            seeds.push(Seed { dialect, bytes });
        }
    }
}

pub fn is_stream(input: &[u8]) -> bool {
    let text = input.trim_ascii_start();
    !matches!(text.first(), Some(b'{' | b'['))
}
