//! `backstay policy new`: a policy to start from.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::cli::{MISUSED, complain, quoted, say};
use crate::kit::{self, Language, NewFault};

#[derive(Debug, clap::Args)]
pub struct New {
    /// What the policy is called: the name of its directory, and of its file
    /// among the policies.
    name: String,
    /// What it is written in.
    #[arg(long, value_enum)]
    lang: Lang,
    /// Where its directory is put.
    #[arg(long, value_name = "DIR", default_value = ".")]
    directory: PathBuf,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Lang {
    Rust,
    #[value(name = "javascript", alias = "js")]
    JavaScript,
    #[value(alias = "py")]
    Python,
    C,
}

impl Lang {
    const fn language(self) -> Language {
        match self {
            Self::Rust => Language::Rust,
            Self::JavaScript => Language::JavaScript,
            Self::Python => Language::Python,
            Self::C => Language::C,
        }
    }
}

pub fn run(new: &New) -> ExitCode {
    let language = new.lang.language();
    match kit::create(&new.name, language, &new.directory) {
        Ok(directory) => {
            let (shown, source) = (directory.display(), language.source());
            let directory = quoted(&directory);
            say(&format!(
                "wrote {shown}, a policy in {language}: what it decides is in {source}\n\n  \
                 backstay policy build {directory}\n  \
                 backstay policy test {directory}               # its scenario.toml\n  \
                 backstay policy build {directory} --install    # where a gateway's policies are\n\n\
                 A route uses it with policy = \"{name}\".",
                language = language.label(),
                name = new.name,
            ));
            ExitCode::SUCCESS
        }
        Err(fault @ (NewFault::Name(_) | NewFault::BuiltIn)) => {
            complain(&fault);
            ExitCode::from(MISUSED)
        }
        Err(fault @ (NewFault::Exists(_) | NewFault::Write(..))) => {
            complain(&fault);
            ExitCode::FAILURE
        }
    }
}
