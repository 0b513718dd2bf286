//! The processes that are measured: started, looked at from outside, ended.

use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{fs, io};

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::Fault;

/// For the gateway to be ready. The first start compiles the built-in policy.
const START_TIME: Duration = Duration::from_mins(1);
const START_PAUSE: Duration = Duration::from_millis(10);
/// Of `/livez`.
const MOST_OF_AN_ANSWER: u64 = 4096;

/// A process that takes calls. Dropped, it is killed.
#[derive(Debug)]
pub struct Process {
    pub name: &'static str,
    pub address: SocketAddr,
    child: Child,
    /// Its configuration, which goes when it goes.
    _directory: Option<TempDir>,
}

impl Process {
    fn pid(&self) -> Pid {
        // The kernel's own limit is 2^22.
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// User and system time of all its threads so far: what `utime + stime` of
    /// `/proc/PID/stat` says, in nanoseconds instead of hundredths of a second.
    pub fn cpu(&self) -> Result<Duration, Fault> {
        Ok(clock_getcpuclockid(self.pid())?.now()?.into())
    }

    /// Resident bytes.
    pub fn resident(&self) -> Result<u64, Fault> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|rest| rest.trim().strip_suffix(" kB"));
        Ok(kib.ok_or("no VmRSS in the status of a process")?.parse::<u64>()? * 1024)
    }

    /// Waits until `/livez` of the process is answered.
    async fn alive(mut self, admin: SocketAddr) -> Result<Self, Fault> {
        let child = &mut self.child;
        let answered = async {
            while !is_alive(admin).await {
                if let Some(ended) = child.try_wait()? {
                    return Err(Fault::from(format!("it ended: {ended}")));
                }
                sleep(START_PAUSE).await;
            }
            Ok(())
        };
        match timeout(START_TIME, answered).await {
            Ok(Ok(())) => Ok(self),
            Ok(Err(fault)) => Err(format!("{}: {fault}", self.name).into()),
            Err(_) => Err(format!("{}: it is not ready", self.name).into()),
        }
    }
}

async fn is_alive(admin: SocketAddr) -> bool {
    let asked = async {
        let mut stream = TcpStream::connect(admin).await?;
        stream
            .write_all(b"GET /livez HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n")
            .await?;
        let mut answer = Vec::new();
        stream.take(MOST_OF_AN_ANSWER).read_to_end(&mut answer).await?;
        Ok::<_, io::Error>(answer.starts_with(b"HTTP/1.1 200"))
    };
    asked.await.unwrap_or(false)
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The provider, and those who stand before it.
#[derive(Debug)]
pub struct Parties {
    pub bare: Process,
    pub backstay: Process,
    pub upstream: Process,
}

/// Where the processes run.
#[derive(Debug)]
pub struct Stage {
    binary: PathBuf,
    /// The cores of the proxies, and those of this process and the provider.
    cores: Option<(CpuSet, CpuSet)>,
}

impl Stage {
    /// Pins this process if asked; threads and children inherit that.
    pub fn set(binary: PathBuf, pin: bool) -> Result<Self, Fault> {
        if !pin {
            return Ok(Self { binary, cores: None });
        }
        let mut others = sched_getaffinity(this_thread())?;
        let first = (0..CpuSet::count()).find(|core| others.is_set(*core).unwrap_or(false));
        let mut proxies = CpuSet::new();
        let first = first.ok_or("no core to pin to")?;
        proxies.set(first)?;
        others.unset(first)?;
        sched_setaffinity(this_thread(), &others)
            .map_err(|error| format!("--pin takes two cores: {error}"))?;
        Ok(Self { binary, cores: Some((proxies, others)) })
    }

    pub const fn pinned(&self) -> bool {
        self.cores.is_some()
    }

    /// Fresh processes.
    pub async fn parties(&self) -> Result<Parties, Fault> {
        let upstream = role("upstream", &[])?;
        let address = upstream.address.to_string();
        let bare = self.on_proxy_cores(|| role("bare", &[&address]))?;
        let (backstay, admin) = self.on_proxy_cores(|| backstay(&self.binary, &address))?;
        Ok(Parties { bare, backstay: backstay.alive(admin).await?, upstream })
    }

    fn on_proxy_cores<T>(&self, start: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
        let Some((proxies, others)) = &self.cores else { return start() };
        sched_setaffinity(this_thread(), proxies)?;
        let started = start();
        sched_setaffinity(this_thread(), others)?;
        started
    }
}

fn this_thread() -> Pid {
    Pid::from_raw(0)
}

/// This executable in another role; it says where it listens.
fn role(name: &'static str, arguments: &[&str]) -> Result<Process, Fault> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg(name)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        BufReader::new(stdout).read_line(&mut line)?;
    }
    let address = line.trim().parse().map_err(|_| format!("{name} did not start"))?;
    Ok(Process { name, address, child, _directory: None })
}

/// The gateway as it runs in real life (a key, two healthy targets, admin on),
/// and its admin address.
fn backstay(binary: &Path, upstream: &str) -> Result<(Process, SocketAddr), Fault> {
    let directory = tempfile::tempdir()?;
    let (address, admin) = free_addresses()?;
    let config = format!(
        r#"[server]
listen = "{address}"

[admin]
listen = "{admin}"

[policies]
directory = "policies"
cache = "cache"

[providers.first]
dialect = "openai"
base_url = "http://{upstream}/v1"
api_key = {{ file = "key" }}

[providers.second]
dialect = "openai"
base_url = "http://{upstream}/v1"
api_key = {{ file = "key" }}

[providers.other]
dialect = "anthropic"
base_url = "http://{upstream}/v1"
api_key = {{ file = "key" }}

[routes.across]
targets = [{{ provider = "other", model = "bench-1" }}]

[routes.bench]
targets = [
  {{ provider = "first", model = "bench-1", priority = 1 }},
  {{ provider = "second", model = "bench-2", priority = 2 }},
]

[routes.bench.rules]
chunk_timeout = "60s"
"#
    );
    let path = directory.path().join("backstay.toml");
    fs::write(&path, config)?;
    fs::write(directory.path().join("key"), "sk-a-key-of-the-usual-length-0123456789")?;
    fs::create_dir(directory.path().join("policies"))?;
    let child = Command::new(binary)
        .args(["serve", "--log", "warn", "--config"])
        .arg(&path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|error| format!("{}: {error}", binary.display()))?;
    let process = Process { name: "backstay", address, child, _directory: Some(directory) };
    Ok((process, admin))
}

fn free_addresses() -> io::Result<(SocketAddr, SocketAddr)> {
    let one = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok((one.local_addr()?, other.local_addr()?))
}
