//! The locked dependencies: none below the version that mended a known fault.

/// Versions below which known faults apply, where the package is locked at all.
const FLOORS: &[(&str, [u32; 3])] = &[
    ("h2", [0, 4, 20]),
    ("hyper", [1, 12, 0]),
    ("rusqlite", [0, 41, 0]),
    ("rustls", [0, 23, 45]),
    ("wasmtime", [48, 0, 8]),
    ("wasmtime-wasi", [48, 0, 8]),
];

/// Packages without which the gateway would not be itself, so that a floor
/// cannot be met by a lock file that was not read.
const ALWAYS_LOCKED: &[&str] = &["h2", "hyper", "rustls", "wasmtime", "wasmtime-wasi"];

/// The major version of wasmtime's line with long-term support.
const WASMTIME_LINE: u32 = 48;

/// Every package of a lock file with its version.
fn locked(lock: &str) -> Vec<(&str, [u32; 3])> {
    let packages = lock.split("[[package]]").skip(1);
    packages.filter_map(|package| Some((field(package, "name")?, version(package)?))).collect()
}

fn field<'a>(package: &'a str, name: &str) -> Option<&'a str> {
    let line = package.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = \""))?;
    line.strip_suffix('"')
}

fn version(package: &str) -> Option<[u32; 3]> {
    let text = field(package, "version")?;
    let release = text.split(['-', '+']).next()?;
    let numbers: Vec<u32> = release.split('.').map(str::parse).collect::<Result<_, _>>().ok()?;
    numbers.try_into().ok()
}

/// Locked versions that are too old, or of another line.
fn faults(lock: &str) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, version) in locked(lock) {
        let floor = FLOORS.iter().find(|(of, _)| *of == name);
        if let Some((_, floor)) = floor.filter(|(_, floor)| version < *floor) {
            faults.push(format!("{name} is locked at {version:?}, below {floor:?}"));
        }
        if name == "wasmtime" && version[0] != WASMTIME_LINE {
            faults.push(format!("wasmtime is locked at {version:?}, off the {WASMTIME_LINE} line"));
        }
    }
    faults
}

#[test]
fn no_locked_version_has_a_known_fault() {
    let lock = include_str!("../../Cargo.lock");
    let locked = locked(lock);
    for name in ALWAYS_LOCKED {
        assert!(locked.iter().any(|(locked, _)| locked == name), "{name} is not locked");
    }
    assert_eq!(faults(lock), Vec::<String>::new());
}

#[test]
fn old_versions_and_other_lines_are_found() {
    let lock = |name: &str, version: &str| {
        format!("[[package]]\nname = \"{name}\"\nversion = \"{version}\"\nsource = \"x\"\n")
    };
    for (name, version, count) in [
        ("h2", "0.4.20", 0),
        ("h2", "0.4.19", 1),
        ("h2", "0.3.99", 1),
        ("wasmtime", "48.1.0", 0),
        ("wasmtime", "48.0.7", 1),
        ("wasmtime", "49.0.0", 1),
        ("rustls", "0.23.45-rc.1", 0),
        ("another", "0.0.1", 0),
    ] {
        let found = faults(&lock(name, version));
        assert_eq!(found.len(), count, "{name} {version}: {found:?}");
    }
}
