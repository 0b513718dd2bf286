//! The templates: one policy in every language, embedded as it lies under
//! `policies/templates`, where the tests build it.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::language::Language;
use crate::policy;

/// What the policy is called in the templates.
const PLACEHOLDER: &str = "my-policy";

/// The contract, of which every directory has a copy.
const CONTRACT: (&str, &str) =
    ("wit/failover-policy.wit", include_str!("../../wit/failover-policy.wit"));

/// A template's file: its path in the directory, and its text.
type File = (&'static str, &'static str);

macro_rules! files {
    ($directory:literal: $($path:literal),+ $(,)?) => {
        &[$(($path, include_str!(concat!("../../policies/templates/", $directory, "/", $path)))),+]
    };
}

const RUST: &[File] = files!("rust": "Cargo.toml", "Cargo.lock", "src/lib.rs", "scenario.toml", "README.md", ".gitignore");
const JAVASCRIPT: &[File] = files!("javascript":
    "package.json", "package-lock.json", "policy.js", "policy.test.js", "scenario.toml",
    "README.md", ".gitignore");
const PYTHON: &[File] = files!("python":
    "pyproject.toml", "policy.py", "test_policy.py", "scenario.toml", "README.md", ".gitignore");
const C: &[File] = files!("c":
    "Makefile", "policy.c", "json.h", "contract/policy.h", "contract/policy.c", "libc/libc.c",
    "libc/stdlib.h", "libc/string.h", "scenario.toml", "README.md", ".gitignore");

/// Why no policy was started.
#[derive(Debug, thiserror::Error)]
pub enum NewFault {
    #[error(
        "`{0}` cannot be a policy's name: it may have 1 to 64 letters, digits, dots, dashes and \
         underscores, and does not begin with a dot or a dash"
    )]
    Name(String),
    #[error(
        "a policy called `default` would replace the built-in for every route: take another name; \
         if that is what you want, `backstay policy build DIR --install --name default` does it"
    )]
    BuiltIn,
    #[error("{} is there already: take another name, or another --directory", .0.display())]
    Exists(PathBuf),
    #[error("{} cannot be written: {}", .0.display(), .1)]
    Write(PathBuf, io::Error),
}

/// What lies under `policies/templates` for a language.
const fn files(language: Language) -> &'static [File] {
    match language {
        Language::Rust => RUST,
        Language::JavaScript => JAVASCRIPT,
        Language::Python => PYTHON,
        Language::C => C,
    }
}

/// Writes a policy of this name to start from into a new directory within
/// `parent`, and returns that directory.
pub fn create(name: &str, language: Language, parent: &Path) -> Result<PathBuf, NewFault> {
    if !policy::is_name(name) || name.starts_with(['.', '-']) {
        return Err(NewFault::Name(name.to_owned()));
    }
    if name == policy::DEFAULT {
        return Err(NewFault::BuiltIn);
    }
    let directory = parent.join(name);
    let cannot = |path: &Path| {
        let path = path.to_owned();
        move |error| NewFault::Write(path, error)
    };
    fs::create_dir_all(parent).map_err(cannot(parent))?;
    match fs::create_dir(&directory) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(NewFault::Exists(directory));
        }
        Err(error) => return Err(cannot(&directory)(error)),
    }
    for (path, text) in files(language).iter().chain([&CONTRACT]) {
        let file = directory.join(path);
        write(&file, &text.replace(PLACEHOLDER, &called(name, path))).map_err(cannot(&file))?;
    }
    Ok(directory)
}

/// What stands for the policy's name in a file. Package managers are narrower
/// about names than policies are, and a policy is called what its directory is.
fn called(name: &str, path: &str) -> String {
    let is_json = Path::new(path).extension().is_some_and(|it| it == "json");
    let is_manifest = is_json || path.starts_with("Cargo.") || path == "pyproject.toml";
    if !is_manifest {
        return name.to_owned();
    }
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let package: String = name.chars().map(plain).collect();
    let package = package.trim_matches('-');
    if package.starts_with(|c: char| c.is_ascii_lowercase()) {
        package.to_owned()
    } else {
        format!("policy-{package}").trim_end_matches('-').to_owned()
    }
}

fn write(file: &Path, text: &str) -> io::Result<()> {
    if let Some(directory) = file.parent() {
        fs::create_dir_all(directory)?;
    }
    fs::OpenOptions::new().write(true).create_new(true).open(file)?.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_has_a_name_that_its_manager_takes() {
        let check = |name: &str, expected: &str| {
            assert_eq!(called(name, "Cargo.toml"), expected);
            assert_eq!(called(name, "README.md"), name);
        };
        check("prefer", "prefer");
        check("EU.only_v2", "eu-only-v2");
        check("2fast", "policy-2fast");
        check("_", "policy");
    }
}
