//! Where compiled policies are kept: one directory for all that a user runs, so
//! that what a test compiled need not be compiled again to be served.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::environment;
use crate::config::Cache;

const NAME: &str = "backstay";

/// As the configuration has it.
pub fn directory(cache: &Cache) -> Option<PathBuf> {
    match cache {
        Cache::Usual => usual(),
        Cache::Off => None,
        Cache::At(directory) => Some(directory.clone()),
    }
}

/// The user's own; `None` if the environment names neither it nor a home.
pub fn usual() -> Option<PathBuf> {
    within(environment("XDG_CACHE_HOME"), environment("HOME"))
}

/// By the XDG Base Directory Specification: relative paths are not heeded.
fn within(caches: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    let absolute = |named: Option<OsString>| named.map(PathBuf::from).filter(|it| it.is_absolute());
    let caches = absolute(caches).or_else(|| Some(absolute(home)?.join(Path::new(".cache"))));
    caches.map(|caches| caches.join(NAME))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_directory_is_the_users_own() {
        for (caches, home, expected) in [
            (Some("/var/c"), Some("/home/ann"), Some("/var/c/backstay")),
            (None, Some("/home/ann"), Some("/home/ann/.cache/backstay")),
            (Some(""), Some("/home/ann"), Some("/home/ann/.cache/backstay")),
            (Some("c"), Some("/home/ann"), Some("/home/ann/.cache/backstay")),
            (None, Some(""), None),
            (None, None, None),
        ] {
            let found = within(caches.map(OsString::from), home.map(OsString::from));
            assert_eq!(found.as_deref(), expected.map(Path::new), "{caches:?} {home:?}");
        }
    }
}
