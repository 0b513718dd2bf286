//! The summary that people read. It says of every number what it is. Pure.

use super::paint::{Colour, Paint};
use super::report::Ending;
use super::script::POLICY;
use super::table;

/// What the columns mean.
const LEGEND: [&str; 4] = [
    "  rescued: the first attempt failed, or the answer broke off; another attempt mended it.",
    "  alone: every fifth call also went straight to alpha, with no gateway and no retry;",
    "         how many of them failed.",
    "  added: compared with the median of the calls straight to alpha that went well.",
];

/// The table of phases, what clients saw, and what became of the policies.
pub fn summary(ending: &Ending<'_>, paint: Paint) -> String {
    let mut lines = vec![table::heading(paint)];
    lines.extend((0..ending.seen.len()).map(|phase| table::row(ending.book, phase, paint)));
    lines.extend(LEGEND.map(|line| paint.dim(line)));
    lines.push(String::new());
    lines.extend(verdict(ending, paint));
    lines.push(String::new());
    lines.extend(policies(ending));
    lines.extend(ending.book.quoted().iter().map(|complaint| format!("  failed: {complaint}")));
    lines.join("\n")
}

fn verdict(ending: &Ending<'_>, paint: Paint) -> Vec<String> {
    let total = ending.book.total();
    let (streamed, whole) = (total.streamed, total.calls - total.streamed);
    let seconds = ending.took.as_secs();
    let early = if ending.interrupted { ", ended early" } else { "" };
    let colour = if total.failed == 0 { Colour::Green } else { Colour::Red };
    vec![
        format!(
            "  {} calls in {seconds} s{early}: {whole} whole, {streamed} streamed.",
            total.calls
        ),
        "  Every answer was compared, word for word, with what it should be.".to_owned(),
        String::new(),
        format!(
            "  {:>6}  would have failed without the gateway: an estimate, since {} of {} alone did",
            ending.book.would_have_failed(),
            total.control.failed,
            total.control.calls,
        ),
        format!("  {:>6}  were rescued, {} of them in mid-answer", total.rescued, total.continued),
        paint.with(colour, &format!("  {:>6}  failed", total.failed)),
    ]
}

fn policies(ending: &Ending<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    let decided = ending.book.total().decided_by(POLICY);
    if decided > 0 {
        lines.push(format!("  The policy that was swapped in under load decided {decided} calls."));
    }
    if let Some(refused) = &ending.witness.refused {
        let serving = match &refused.serving {
            Some(digest) => format!("{POLICY}@{digest}"),
            None => "the built-in".to_owned(),
        };
        lines.push(format!("  Half a file was refused, and {serving} went on deciding:"));
        lines.push(format!("    {}", refused.reason));
    }
    if let Some(quarantined) = &ending.witness.quarantined {
        let digest = quarantined.digest.as_deref().unwrap_or("unknown");
        let faults = quarantined.faults;
        lines.push(format!(
            "  {POLICY}@{digest}, which panics, was put in quarantine after {faults} faults."
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cli::demo::book::{Book, Kind};
    use crate::cli::demo::book::{Call, Stamp, Way};
    use crate::cli::demo::judge::Complaint;
    use crate::cli::demo::script::DAY;
    use crate::cli::demo::witness::Witness;
    use crate::fake::Counts;

    fn call(way: Way, complaint: Option<Complaint>) -> Call {
        let took = Duration::from_millis(20);
        let stamp = Stamp { attempts: 2, trace: "bs-1".to_owned(), ..Stamp::default() };
        Call { phase: 0, kind: Kind::Whole, way, took, complaint, stamp }
    }

    fn check(calls: Vec<Call>, interrupted: bool, good: bool, lines: &[&str]) {
        let mut book = Book::new(DAY.len());
        for call in calls {
            book.add(call);
        }
        let ending = Ending {
            book: &book,
            witness: &Witness::default(),
            counts: [Counts::default(); 3],
            took: Duration::from_secs(3),
            seen: &[true],
            interrupted,
        };
        let text = summary(&ending, Paint::Plain);
        assert_eq!(ending.is_good(), good, "{text}");
        for expected in lines {
            assert!(text.contains(expected), "{expected} in {text}");
        }
        assert_eq!(ending.document()["calls"]["total"], book.total().calls);
    }

    #[test]
    fn the_summary_says_what_clients_saw() {
        let failed = || Some(Complaint::Status(502));
        check(
            vec![call(Way::Gateway, None), call(Way::Gateway, None), call(Way::Direct, failed())],
            false,
            true,
            &["2 calls in 3 s:", " 2  would have failed", " 2  were rescued", " 0  failed"],
        );
        check(
            vec![call(Way::Gateway, failed())],
            false,
            false,
            &[" 1  failed", "failed: status 502 (trace bs-1)"],
        );
        check(vec![call(Way::Gateway, None)], true, false, &["in 3 s, ended early"]);
    }
}
