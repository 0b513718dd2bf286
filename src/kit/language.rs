//! The languages policies are written in, and how to tell which one a
//! directory holds.

use std::path::{Path, PathBuf};

/// A language there is a template and a toolchain for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Language {
    Rust,
    JavaScript,
    Python,
    C,
}

/// A directory that no policy can be built of.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LanguageFault {
    #[error("there is no directory {}", .0.display())]
    NoDirectory(PathBuf),
    #[error(
        "{} holds no policy to build: none of {manifests} is in it; `backstay policy new NAME \
         --lang …` writes one",
        .0.display(),
        manifests = manifests()
    )]
    NoManifest(PathBuf),
}

impl Language {
    /// In the order in which their manifests are looked for: a Makefile lies
    /// beside many another.
    pub const ALL: [Self; 4] = [Self::Rust, Self::JavaScript, Self::Python, Self::C];

    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Rust => "Rust",
            Self::JavaScript => "JavaScript",
            Self::Python => "Python",
            Self::C => "C",
        }
    }

    /// The file that says how a policy in this language is built.
    #[must_use]
    pub const fn manifest(self) -> &'static str {
        match self {
            Self::Rust => "Cargo.toml",
            Self::JavaScript => "package.json",
            Self::Python => "pyproject.toml",
            Self::C => "Makefile",
        }
    }

    /// Where the policy itself is written.
    #[must_use]
    pub const fn source(self) -> &'static str {
        match self {
            Self::Rust => "src/lib.rs",
            Self::JavaScript => "policy.js",
            Self::Python => "policy.py",
            Self::C => "policy.c",
        }
    }

    /// The language of the policy in a directory.
    pub fn of(directory: &Path) -> Result<Self, LanguageFault> {
        if !directory.is_dir() {
            return Err(LanguageFault::NoDirectory(directory.to_owned()));
        }
        let has = |language: &Self| directory.join(language.manifest()).is_file();
        let found = Self::ALL.into_iter().find(has);
        found.ok_or_else(|| LanguageFault::NoManifest(directory.to_owned()))
    }
}

fn manifests() -> String {
    Language::ALL.map(Language::manifest).join(", ")
}
