//! A policy that is swapped two hundred times while streams are open: no call
//! fails, and each is decided by the version it began with.
#![expect(clippy::unwrap_used, reason = "helpers fail like tests")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use backstay::fake::answer;
use backstay::policy::Digest;

use crate::support::client::{ask, chat};
use crate::support::gateway::{Gateway, Setup, provider};
use crate::support::guests::picking;
use crate::support::said::Said;

const SWAPS: u32 = 200;
const CALLERS: usize = 4;
const WORDS: usize = 20;

/// One after the other, until told to stop: the version that decided, and the
/// target that it chose, of every call.
async fn keep_calling(
    addr: std::net::SocketAddr,
    stream: bool,
    stop: Arc<AtomicBool>,
) -> Vec<(String, String)> {
    let mut decided = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let reply = ask(addr, &chat("r", "hi", stream)).await;
        Said::of(&reply).is_whole(&answer("hi", WORDS), stream).unwrap();
        let header = |name| reply.header(name).unwrap().to_owned();
        decided.push((header("x-backstay-policy"), header("x-backstay-target")));
    }
    decided
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_notices_two_hundred_swaps() {
    let behaviour = format!("words={WORDS}+chunk-delay=2ms");
    let (a, b) = (provider("a", &behaviour), provider("b", &behaviour));
    // Not how fast it answers is tested here, and the machine may be busy.
    let setup = Setup::new().provider("a", &a).provider("b", &b);
    let setup = setup.with("[policies]\ntime_limit = \"2s\"\n");
    let text = setup.route_with("r", "policy = \"swapped\"", &["a/m", "b/m"]).text();
    let versions = [picking(0), picking(1)];
    let gateway = Gateway::start(&text, &[("swapped.wasm", &versions[0])]).await;
    let tag = |version: &[u8]| format!("swapped@{}", Digest::of(version).short());
    let chosen = BTreeMap::from([(tag(&versions[0]), "a/m"), (tag(&versions[1]), "b/m")]);

    let stop = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..CALLERS)
        .map(|n| tokio::spawn(keep_calling(gateway.addr, n % 2 == 0, Arc::clone(&stop))))
        .collect();
    let (shared, home) = (Arc::clone(&gateway.shared), gateway.directory.path().join("policies"));
    let swapping = tokio::task::spawn_blocking(move || {
        for number in 1..=SWAPS {
            let version = &versions[number as usize % 2];
            std::fs::write(home.join("new"), version).unwrap();
            std::fs::rename(home.join("new"), home.join("swapped.wasm")).unwrap();
            shared.library.rescan_now();
            let current = shared.library.current().policy("swapped").unwrap();
            assert_eq!(current.digest(), Digest::of(version), "swap {number}");
        }
    });
    swapping.await.unwrap();
    stop.store(true, Ordering::Relaxed);

    let mut counts = BTreeMap::new();
    for caller in callers {
        for (policy, target) in caller.await.unwrap() {
            assert_eq!(chosen.get(&policy), Some(&target.as_str()), "{policy} chose {target}");
            *counts.entry(policy).or_insert(0) += 1;
        }
    }
    assert_eq!(counts.len(), 2, "both versions decided: {counts:?}");
    gateway.settled().await;
    let (instances, _) = gateway.shared.library.usage();
    let kept = std::thread::available_parallelism().map_or(1, usize::from);
    assert!(instances <= kept, "only the built-in keeps instances, one a processor: {instances}");
}
