//! `backstay policy build`: from a directory to a component.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use bytesize::ByteSize;
use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::{ConfigFile, MISUSED, complain, environment, say};
use crate::config;
use crate::kit::{self, BuildFault, Built};

#[derive(Debug, clap::Args)]
pub struct Build {
    /// The policy's directory.
    #[arg(default_value = ".")]
    directory: PathBuf,
    /// Copy the component to the other policies, in one step: into this
    /// directory, or the one that the configuration names, which is created if
    /// it is not there.
    #[arg(long, value_name = "POLICIES_DIR", num_args = 0..=1)]
    #[expect(clippy::option_option, reason = "how clap tells --install from --install DIR")]
    install: Option<Option<PathBuf>>,
    /// What it is called there; without it, as its directory is.
    #[arg(long, requires = "install")]
    name: Option<String>,
    #[command(flatten)]
    file: ConfigFile,
}

pub fn run(asked: &Build) -> ExitCode {
    let spinner = spinner();
    let built = kit::build(&asked.directory, &mut |step| spinner.set_message(step.to_owned()));
    spinner.finish_and_clear();
    let done = built.and_then(|built| {
        say(&summary(&built));
        match &asked.install {
            None => Ok(()),
            Some(policies) => install(asked, &built, policies.as_deref()),
        }
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(
            fault @ (BuildFault::Directory(_) | BuildFault::Name(_) | BuildFault::NoPolicies(_)),
        ) => {
            complain(&fault);
            ExitCode::from(MISUSED)
        }
        Err(
            fault @ (BuildFault::Missing(_)
            | BuildFault::Manifest { .. }
            | BuildFault::Failed { .. }
            | BuildFault::Component(_)
            | BuildFault::Unwritable(..)
            | BuildFault::Io(_)),
        ) => {
            complain(&fault);
            ExitCode::FAILURE
        }
    }
}

fn install(asked: &Build, built: &Built, policies: Option<&Path>) -> Result<(), BuildFault> {
    // One that was typed may be a mistake: only the one that a gateway watches
    // is created.
    let policies = match policies {
        Some(typed) => typed.to_owned(),
        None => made(configured(&asked.file.config))?,
    };
    let name = asked.name.clone().unwrap_or_else(|| called(&asked.directory));
    let installed = kit::install(built, &name, &policies)?;
    say(&format!("installed {}", installed.display()));
    Ok(())
}

fn made(directory: PathBuf) -> Result<PathBuf, BuildFault> {
    match fs::create_dir_all(&directory) {
        Ok(()) => Ok(directory),
        Err(error) => Err(BuildFault::Unwritable(directory, error)),
    }
}

/// Where the policies of the gateway here are. A configuration that is not
/// there, or has problems of its own, is no reason not to install.
fn configured(file: &Path) -> PathBuf {
    match config::load(file, &environment) {
        Ok(config) => config.policies.directory,
        Err(_) => file.with_file_name("policies"),
    }
}

/// The name of a directory, however it was written.
fn called(directory: &Path) -> String {
    let whole = directory.canonicalize().unwrap_or_else(|_| directory.to_owned());
    whole.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn summary(built: &Built) -> String {
    let foreign: Vec<&str> = built.foreign_imports().collect();
    let wasi = match foreign.as_slice() {
        [] => "no WASI".to_owned(),
        [first, ..] => format!("and {} of WASI or others, as {first}", foreign.len()),
    };
    let own = built.imports.len() - foreign.len();
    format!(
        "{file} ({language})\n  size     {size}\n  imports  {own} of backstay:policy, {wasi}\n  \
         digest   sha256:{digest}",
        file = built.file.display(),
        language = built.language.label(),
        size = ByteSize(built.bytes),
        digest = built.digest,
    )
}

/// To standard error, and only where somebody looks at it.
fn spinner() -> ProgressBar {
    let spinner = ProgressBar::new_spinner();
    let style = ProgressStyle::with_template("{spinner} {msg} {elapsed}");
    spinner.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    spinner.enable_steady_tick(Duration::from_millis(120));
    spinner
}
