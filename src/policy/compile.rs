//! From a component's bytes to code that can run. Compiling what others wrote
//! is not covered by wasmtime's promise of safety, and may take seconds and
//! hundreds of megabytes: it is done in a child process, once for each file.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read, Write};
use std::num::NonZero;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, SystemTime};

use sha2::{Digest as _, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

use super::engine::{Metering, PolicyEngine, compiling_engine};
use super::handle::Digest;
use super::loading;
use super::program::reason_of;
use super::sandbox::clean;

/// The verb of the gateway's binary that ends in `run_child`.
pub const CHILD_VERB: &str = "compile-policy";

const CHILD_MEMORY_MAX: u64 = 2 << 30;
const CHILD_SECONDS_MAX: u64 = 120;
/// Calls that are being served go before the compiler: on a machine without
/// idle time it has a tenth of what they have, so that it still ends.
const CHILD_NICE: i32 = 10;
/// Threads it compiles on, if the machine has as many processors. Each costs
/// address space, of which the child has but `CHILD_MEMORY_MAX`.
const CHILD_THREADS_MAX: usize = 8;
/// Its limit is one of processor time: on a busy machine that takes longer.
const PATIENCE: Duration = Duration::from_mins(10);
const ARTEFACT_BYTES_MAX: u64 = 256 << 20;
const MESSAGE_BYTES_MAX: u64 = 4 << 10;
/// Artefacts kept, by all verbs and gateways of a user, and their bytes (a
/// policy in JavaScript or Python makes some tens of megabytes); beyond either
/// those go that were not used for longest.
const CACHE_FILES_MAX: usize = 256;
const CACHE_BYTES_MAX: u64 = 4 << 30;
const ARTEFACT: &str = ".cwasm";
const CHECKSUM_BYTES: usize = 32;
/// To touch a file with.
const NOW: rustix::fs::Timestamps = {
    let now = rustix::fs::Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW };
    rustix::fs::Timestamps { last_access: now, last_modification: now }
};

/// Where policies are compiled. The built-in, which is ours, always is in this
/// process.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Compiler {
    InProcess,
    /// By this binary, called with `CHILD_VERB`.
    Child(PathBuf),
}

#[derive(Debug, thiserror::Error)]
pub enum CompileFault {
    /// The policy's author is to blame.
    #[error("{0}")]
    Invalid(String),
    /// The gateway or its machine is.
    #[error("the compiler failed: {0}")]
    Compiler(String),
}

/// Compiles, or takes from the cache what an earlier run compiled.
#[derive(Debug)]
pub struct Workshop {
    compiler: Compiler,
    cache: Option<PathBuf>,
    memory: usize,
    gives_way: AtomicBool,
}

impl Workshop {
    /// `memory` is the engine's limit: code is compiled for it. Without a
    /// directory that is private to this user there is no cache.
    pub fn new(compiler: Compiler, cache: Option<PathBuf>, memory: usize) -> Self {
        let cache = cache.filter(|directory| match make_private(directory) {
            Ok(()) => true,
            Err(error) => {
                let directory = directory.display();
                tracing::warn!(%directory, %error, "compiled policies are not cached");
                false
            }
        });
        Self { compiler, cache, memory, gives_way: AtomicBool::new(false) }
    }

    /// From now on there are calls to be served: they go before the compiler.
    /// Until then somebody waits for it.
    pub fn give_way(&self) {
        self.gives_way.store(true, Ordering::Relaxed);
    }

    pub fn compile(
        &self,
        engine: &PolicyEngine,
        name: &str,
        bytes: &[u8],
    ) -> Result<Component, CompileFault> {
        let (engine, metering) = (engine.wasmtime(), engine.metering());
        match &self.compiler {
            Compiler::InProcess => in_process(engine, bytes),
            Compiler::Child(binary) => {
                let digest = Digest::of(bytes);
                let file = self.cache.as_ref().map(|dir| dir.join(file_name(engine, digest)));
                let cached = file.as_deref().and_then(read_cached);
                if let Some(component) = cached.and_then(|code| load(engine, &code).ok()) {
                    return Ok(component);
                }
                // It may take minutes, in which nothing else tells that it goes on.
                tracing::info!(policy = name, digest = digest.short(), "compiling policy");
                let gives_way = self.gives_way.load(Ordering::Relaxed);
                let settings = Settings { memory: self.memory, metering, gives_way };
                let code = by_child(binary, settings, bytes)?;
                if let (Some(directory), Some(file)) = (&self.cache, &file)
                    && let Err(error) = write_cached(directory, file, &code)
                {
                    tracing::debug!(%error, "a compiled policy was not cached");
                }
                load(engine, &code).map_err(|error| CompileFault::Compiler(reason_of(&error)))
            }
        }
    }
}

pub fn in_process(engine: &Engine, bytes: &[u8]) -> Result<Component, CompileFault> {
    Component::from_binary(engine, bytes).map_err(|error| CompileFault::Invalid(reason_of(&error)))
}

#[expect(unsafe_code, reason = "the only way to load compiled code; see the safety comment")]
fn load(engine: &Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: `code` must be what wasmtime's `serialize` wrote. It came either
    // straight from a child process of ours over a pipe, or from a file in a
    // directory that belongs to this user and is closed to all others, whose
    // checksum holds. Whoever could change either could change this process.
    // wasmtime itself refuses code of another version or configuration.
    unsafe { Component::deserialize(engine, code) }
}

/// Codes for another engine have other names.
fn file_name(engine: &Engine, digest: Digest) -> String {
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    format!("{digest}-{:016x}{ARTEFACT}", hasher.finish())
}

/// Creates a directory that only this user can enter, or checks that it is one.
fn make_private(directory: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let metadata = fs::symlink_metadata(directory)?;
    // The six lowest bits are what its group and all others may do.
    let owned = metadata.uid() == rustix::process::geteuid().as_raw();
    if metadata.is_dir() && owned && metadata.mode().trailing_zeros() >= 6 {
        return Ok(());
    }
    Err(io::Error::other("it is not a directory that only this user can enter (mode 0700)"))
}

/// The code, if the file is whole.
fn read_cached(file: &Path) -> Option<Vec<u8>> {
    let mut contents = Vec::new();
    let opened = loading::open_file(file).ok()?;
    (&opened).take(ARTEFACT_BYTES_MAX).read_to_end(&mut contents).ok()?;
    let code = contents.split_off_checked(CHECKSUM_BYTES)?;
    // Its time says when it was used last. Where that cannot be noted, it is
    // compiled again sooner.
    let _ = rustix::fs::futimens(&opened, &NOW);
    (contents == checksum(file, &code)).then_some(code)
}

/// Of the code and whose it is: another policy's in its place is not whole.
fn checksum(file: &Path, code: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let name = file.file_name().unwrap_or_default();
    Sha256::new().chain_update(name.as_encoded_bytes()).chain_update(code).finalize().into()
}

fn write_cached(directory: &Path, file: &Path, code: &[u8]) -> io::Result<()> {
    make_room(directory, code.len() as u64)?;
    let mut temporary = tempfile::NamedTempFile::new_in(directory)?;
    temporary.write_all(&checksum(file, code))?;
    temporary.write_all(code)?;
    temporary.persist(file)?;
    Ok(())
}

/// Deletes nothing but artefacts: the directory was named by a person.
fn make_room(directory: &Path, bytes: u64) -> io::Result<()> {
    let mut artefacts: Vec<(SystemTime, u64, PathBuf)> = fs::read_dir(directory)?
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let metadata = fs::symlink_metadata(&path).ok()?;
            let is_ours = path.to_str().is_some_and(|path| path.ends_with(ARTEFACT));
            (is_ours && metadata.is_file()).then_some((
                metadata.modified().ok()?,
                metadata.len(),
                path,
            ))
        })
        .collect();
    artefacts.sort();
    let mut count = artefacts.len();
    let mut total = bytes + artefacts.iter().map(|(_, size, _)| size).sum::<u64>();
    for (_, size, path) in &artefacts {
        if count < CACHE_FILES_MAX && total <= CACHE_BYTES_MAX {
            break;
        }
        // Another process may have made room at the same time.
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        count -= 1;
        total -= size;
    }
    Ok(())
}

trait SplitOffChecked {
    fn split_off_checked(&mut self, at: usize) -> Option<Vec<u8>>;
}

impl SplitOffChecked for Vec<u8> {
    fn split_off_checked(&mut self, at: usize) -> Option<Vec<u8>> {
        (self.len() >= at).then(|| self.split_off(at))
    }
}

/// What code is compiled for, and how urgently; it leads what the child reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Settings {
    memory: usize,
    metering: Metering,
    gives_way: bool,
}

const SETTINGS_BYTES: usize = 10;

impl Settings {
    fn to_bytes(self) -> [u8; SETTINGS_BYTES] {
        let mut bytes = [0; SETTINGS_BYTES];
        bytes[..8].copy_from_slice(&(self.memory as u64).to_le_bytes());
        bytes[8] = u8::from(self.metering == Metering::On);
        bytes[9] = u8::from(self.gives_way);
        bytes
    }

    fn from_bytes([memory @ .., metered, gives_way]: [u8; SETTINGS_BYTES]) -> Option<Self> {
        let memory = usize::try_from(u64::from_le_bytes(memory)).ok()?;
        let metering = if metered == 0 { Metering::Off } else { Metering::On };
        Some(Self { memory, metering, gives_way: gives_way != 0 })
    }
}

/// Runs the compiler as a child: the settings and the component go in, the code
/// or an error message come out.
fn by_child(binary: &Path, settings: Settings, bytes: &[u8]) -> Result<Vec<u8>, CompileFault> {
    let broken = |what: &str, error: io::Error| CompileFault::Compiler(format!("{what}: {error}"));
    let mut child = Command::new(binary)
        .arg(CHILD_VERB)
        .env_clear()
        .envs(threads())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| broken("cannot start", error))?;
    let exchanged = exchange(&mut child, settings, bytes);
    // Also when it has ended: then there is nothing to kill.
    let _ = child.kill();
    let status = child.wait().map_err(|error| broken("cannot wait", error))?;
    let (code, message) = exchanged
        .ok_or_else(|| CompileFault::Compiler("it took longer than ten minutes".into()))?;
    if status.success() {
        return Ok(code);
    }
    let message = clean(&String::from_utf8_lossy(&message), 1024);
    match status.code() {
        Some(INVALID) => Err(CompileFault::Invalid(message)),
        _ => Err(CompileFault::Compiler(format!("{status}: {message}"))),
    }
}

/// How many threads the child compiles on, and as many arenas of its allocator.
fn threads() -> [(&'static str, String); 2] {
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    let threads = processors.min(CHILD_THREADS_MAX).to_string();
    [("RAYON_NUM_THREADS", threads.clone()), ("MALLOC_ARENA_MAX", threads)]
}

/// Feeds and reads the child on threads of their own, so that no full pipe can
/// hold anything up. `None` if it takes too long.
fn exchange(child: &mut Child, settings: Settings, bytes: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut stdin = child.stdin.take()?;
    let stdout = child.stdout.take()?.take(ARTEFACT_BYTES_MAX);
    let stderr = child.stderr.take()?.take(MESSAGE_BYTES_MAX);
    let mut input = settings.to_bytes().to_vec();
    input.extend_from_slice(bytes);
    // A child that ends early closes the pipe; what it says of that is read below.
    std::thread::spawn(move || stdin.write_all(&input));
    let code = read_aside(stdout);
    let message = read_aside(stderr);
    let code = code.recv_timeout(PATIENCE).ok()?;
    let message = message.recv_timeout(Duration::from_secs(1)).unwrap_or_default();
    Some((code, message))
}

fn read_aside(mut pipe: impl Read + Send + 'static) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut contents = Vec::new();
        // What was read before an error is judged by the exit status.
        let _ = pipe.read_to_end(&mut contents);
        let _ = sender.send(contents);
    });
    receiver
}

/// Exit codes of the child.
const INVALID: i32 = 1;
const FAILED: i32 = 2;

/// The child's side: limits itself, compiles what comes in, writes the code
/// out. Returns the exit code.
#[must_use]
pub fn run_child() -> i32 {
    match compile_stdin() {
        Ok(()) => 0,
        Err(fault) => {
            // The parent reads it; if it is gone, nobody does.
            let _ = writeln!(io::stderr(), "{fault}");
            match fault {
                CompileFault::Invalid(_) => INVALID,
                CompileFault::Compiler(_) => FAILED,
            }
        }
    }
}

fn compile_stdin() -> Result<(), CompileFault> {
    let failed = |error: io::Error| CompileFault::Compiler(error.to_string());
    limit(rlimit::Resource::AS, CHILD_MEMORY_MAX).map_err(failed)?;
    limit(rlimit::Resource::CPU, CHILD_SECONDS_MAX).map_err(failed)?;
    limit(rlimit::Resource::CORE, 0).map_err(failed)?;
    let mut settings = [0; SETTINGS_BYTES];
    let mut bytes = Vec::new();
    let mut stdin = io::stdin().lock();
    stdin.read_exact(&mut settings).map_err(failed)?;
    let settings = Settings::from_bytes(settings)
        .ok_or_else(|| CompileFault::Compiler("a memory limit beyond this machine".into()))?;
    if settings.gives_way {
        // Before there are threads, which inherit it. Where it may not be done,
        // the compiler is as pressing as the rest.
        let _ = rustix::process::setpriority_process(None, CHILD_NICE);
    }
    stdin.read_to_end(&mut bytes).map_err(failed)?;
    let engine = compiling_engine(settings.memory, settings.metering)
        .map_err(|error| CompileFault::Compiler(reason_of(&error)))?;
    let code = engine
        .precompile_component(&bytes)
        .map_err(|error| CompileFault::Invalid(reason_of(&error)))?;
    io::stdout().lock().write_all(&code).map_err(failed)
}

/// Never above what the process was given.
fn limit(resource: rlimit::Resource, value: u64) -> io::Result<()> {
    let (_, hard) = resource.get()?;
    let value = value.min(hard);
    resource.set(value, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_child_reads_the_settings_that_it_was_given() {
        for memory in [0, 64 << 20, usize::MAX] {
            for metering in [Metering::Off, Metering::On] {
                for gives_way in [false, true] {
                    let settings = Settings { memory, metering, gives_way };
                    assert_eq!(Settings::from_bytes(settings.to_bytes()), Some(settings));
                }
            }
        }
    }

    #[test]
    fn room_is_made_of_the_artefacts_used_least_recently_and_nothing_else() {
        let directory = tempfile::tempdir().expect("there is room for temporary files");
        let at = |name: &str| directory.path().join(name);
        let put = |name: &str, second: i64| {
            let file = fs::File::create(at(name)).expect("the directory was just made");
            let time = rustix::fs::Timespec { tv_sec: second, tv_nsec: 0 };
            let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
            rustix::fs::futimens(&file, &times).expect("the file is ours");
        };
        put("of a person.toml", 0);
        for number in 0..CACHE_FILES_MAX {
            put(&format!("{number}{ARTEFACT}"), i64::try_from(number).unwrap_or(i64::MAX) + 1);
        }
        let used = at(&format!("0{ARTEFACT}"));
        write_cached(directory.path(), &used, b"code").expect("it can be written");
        assert_eq!(read_cached(&used).as_deref(), Some(&b"code"[..]));
        make_room(directory.path(), 0).expect("it can be read");
        let left = |name: &str| at(name).exists();
        assert!(left("of a person.toml") && used.exists());
        assert!(!left(&format!("1{ARTEFACT}")) && left(&format!("2{ARTEFACT}")));
        make_room(directory.path(), CACHE_BYTES_MAX).expect("it can be read");
        assert_eq!(fs::read_dir(directory.path()).map_or(0, Iterator::count), 1);
    }
}
