//! The table of phases, a line each: the same while the demo runs and in its
//! summary. "Alone" is what alpha made of the calls that were sent to it without
//! the gateway: how many failed.

use super::book::{Added, Book, Control};
use super::paint::{Colour, Paint};
use super::script::DAY;

pub fn heading(paint: Paint) -> String {
    let text = format!(
        "  {:<38} {:>5}  {:>6}  {:>7}  {:>10}  {:>16}",
        "phase", "calls", "failed", "rescued", "alone", "added p50, p95"
    );
    paint.dim(&text)
}

/// The line of a phase that has not begun.
pub fn title(phase: usize) -> String {
    format!("  {:<38}", DAY[phase].title)
}

pub fn row(book: &Book, phase: usize, paint: Paint) -> String {
    let page = book.page(phase);
    let failed = format!("{:>6}", page.failed);
    let failed = if page.failed == 0 { failed } else { paint.with(Colour::Red, &failed) };
    let alone = match page.control {
        Control { calls: 0, .. } => String::new(),
        Control { calls, failed } => format!("{failed} of {calls}"),
    };
    let added = book.added(page).map(|added| show(&added)).unwrap_or_default();
    let (title, calls, rescued) = (title(phase), page.calls, page.rescued);
    format!("{title} {calls:>5}  {failed}  {rescued:>7}  {alone:>10}  {added:>16}")
}

fn show(added: &Added) -> String {
    format!("{}, {}", time(added.p50), time(added.p95))
}

/// Milliseconds, and from one second on seconds.
pub fn time(ms: f64) -> String {
    if ms.abs() < 999.5 { format!("{ms:.1} ms") } else { format!("{:.1} s", ms / 1e3) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_fitting_unit() {
        for (ms, expected) in
            [(0.04, "0.0 ms"), (-0.3, "-0.3 ms"), (12.34, "12.3 ms"), (1_512.0, "1.5 s")]
        {
            assert_eq!(time(ms), expected);
        }
    }
}
