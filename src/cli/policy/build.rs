//! `backstay policy build`: from a directory to a component.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use bytesize::ByteSize;
use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::{MISUSED, USUAL_FILE, complain, environment, say};
use crate::config;
use crate::kit::{self, BuildFault, Built};

/// Where a gateway without a configuration has its policies.
const USUAL_DIRECTORY: &str = "policies";

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
    /// The configuration that names the policies' directory. Without it
    /// backstay.toml.
    #[arg(long, short, value_name = "FILE", env = "BACKSTAY_CONFIG")]
    config: Option<PathBuf>,
}

pub fn run(asked: &Build) -> ExitCode {
    // Before anything is built: that may take minutes.
    let destination = match destination(asked) {
        Ok(destination) => destination,
        Err(problem) => {
            complain(&problem);
            return ExitCode::from(MISUSED);
        }
    };
    let spinner = spinner();
    let built = kit::build(&asked.directory, &mut |step| spinner.set_message(step.to_owned()));
    spinner.finish_and_clear();
    let done = built.and_then(|built| {
        say(&summary(&built));
        match &destination {
            None => Ok(()),
            Some(policies) => install(asked, &built, policies),
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

/// Where the component is to go, if it is to go anywhere.
fn destination(asked: &Build) -> Result<Option<PathBuf>, String> {
    match &asked.install {
        None => Ok(None),
        Some(Some(typed)) if !typed.is_dir() => {
            Err(BuildFault::NoPolicies(typed.clone()).to_string())
        }
        Some(Some(typed)) => Ok(Some(typed.clone())),
        Some(None) => configured(asked.config.as_deref()).map(Some),
    }
}

/// Where the policies of the gateway here are. Of its configuration nothing but
/// that is read: the keys it names need not be set here.
fn configured(named: Option<&Path>) -> Result<PathBuf, String> {
    let file = match named {
        Some(file) => file,
        None if Path::new(USUAL_FILE).exists() => Path::new(USUAL_FILE),
        None if Path::new(USUAL_DIRECTORY).is_dir() => return Ok(USUAL_DIRECTORY.into()),
        None => {
            return Err(format!(
                "there is neither a {USUAL_FILE} nor a directory {USUAL_DIRECTORY} here, so where to \
                 install is not known: run it where the gateway's configuration is, or name that \
                 with --config FILE, or the directory with --install DIR"
            ));
        }
    };
    let policies = config::load_policies(file, &environment);
    policies.map(|policies| policies.directory).map_err(|problems| problems.to_string())
}

fn install(asked: &Build, built: &Built, policies: &Path) -> Result<(), BuildFault> {
    // One that was typed is there. The one that a gateway watches may be missing
    // as long as there was no policy.
    fs::create_dir_all(policies)
        .map_err(|error| BuildFault::Unwritable(policies.to_owned(), error))?;
    let name = asked.name.clone().unwrap_or_else(|| called(&asked.directory));
    let installed = kit::install(built, &name, policies)?;
    say(&format!("installed {}", installed.display()));
    Ok(())
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
