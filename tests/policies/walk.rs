//! The README's walk from an empty folder to a policy that decides, and back:
//! its commands as they stand there, but for the ports.

use std::fmt::Write as _;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::workshop;

const README: &str = include_str!("../../README.md");
/// What the README has the gateway and the fakes listen on.
const PORTS: [&str; 4] = ["8080", "8081", "9001", "9002"];
/// Beyond this nothing that the walk waits for will come any more.
const SECONDS_MAX: &str = "480";

/// The commands between the walk's marks.
fn commands() -> String {
    let (_, walk) = README.split_once("<!-- walk -->").expect("the README has a walk");
    let (walk, _) = walk.split_once("<!-- end of walk -->").expect("the walk has an end");
    let blocks: Vec<&str> = walk
        .split("```sh\n")
        .skip(1)
        .map(|block| block.split("```").next().unwrap_or_default())
        .collect();
    assert!(blocks.len() >= 5, "the walk was not found: {} blocks", blocks.len());
    blocks.concat()
}

/// The same on ports that are free. The configuration does not name the usual
/// ones, so it is told which to take.
fn on_free_ports(commands: &str) -> String {
    let listeners =
        PORTS.map(|_| TcpListener::bind("127.0.0.1:0").expect("this machine has free ports"));
    let free = listeners.each_ref().map(|l| l.local_addr().expect("it listens").port());
    let [calls, admin, ..] = free;
    let mut listen = "cat > backstay.toml <<'END'\n".to_owned();
    for (section, port) in [("server", calls), ("admin", admin)] {
        let _ = writeln!(listen, "[{section}]\nlisten = \"127.0.0.1:{port}\"");
    }
    let moved = PORTS.iter().zip(free).fold(commands.to_owned(), |text, (usual, free)| {
        text.replace(&format!("127.0.0.1:{usual}"), &format!("127.0.0.1:{free}"))
    });
    assert!(moved.contains("cat > backstay.toml <<'END'\n"), "the walk writes a configuration");
    moved.replace("cat > backstay.toml <<'END'\n", &listen)
}

/// Follows the commands in an empty directory, one after the other, whatever
/// they return, and ends what they left running.
fn follow(commands: &str, directory: &Path) -> Output {
    let program = Path::new(env!("CARGO_BIN_EXE_backstay"));
    let home = program.parent().expect("it lies in a directory");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let paths = [home.to_owned()].into_iter().chain(std::env::split_paths(&path));
    let script = format!("trap 'kill $(jobs -p)' EXIT\nexec 2>&1\nset -v\n{commands}");
    Command::new("timeout")
        .args(["--kill-after=10", SECONDS_MAX, "bash", "-uc", &script])
        .current_dir(directory)
        .env("PATH", std::env::join_paths(paths).expect("paths without colons"))
        // What the policy is built of is compiled once per checkout.
        .env("CARGO_TARGET_DIR", workshop::scratch("cargo"))
        .env("BACKSTAY_LOG", "warn")
        .stdin(Stdio::null())
        .process_group(0)
        .output()
        .expect("there are bash and timeout")
}

#[test]
fn the_readme_s_walk_leads_where_it_says() {
    let directory = tempfile::tempdir().expect("there is room for temporary files");
    let output = follow(&on_free_ports(&commands()), directory.path());
    let said = String::from_utf8_lossy(&output.stdout);
    let mut rest = &*said;
    for expected in [
        // build, check, test, bench
        "mine/policy.wasm (Rust)",
        "The gateway would load it.",
        "1..3",
        "ok 1 - ",
        "will run on ",
        // simulate: the rehearsal of both, and what must hold of them
        "availability >= 0.999",
        // shadow
        "installed ",
        "x-backstay-target: alpha/large",
        "x-backstay-policy: default@",
        "\"disagreed\": 1",
        // replay
        "select-provider",
        // swap
        "x-backstay-policy: mine@",
        "x-backstay-target: beta/large",
        // roll back
        "mine: back from ",
        "rolled back from ",
    ] {
        let found = rest.find(expected);
        let at = found.unwrap_or_else(|| panic!("no {expected:?} where it should be:\n{said}"));
        rest = &rest[at + expected.len()..];
    }
    for part in ["outage.svg", "journal", "policies/mine.wasm"] {
        assert!(directory.path().join(part).exists(), "no {part}:\n{said}");
    }
    assert!(!said.contains("not ok"), "{said}");
}
