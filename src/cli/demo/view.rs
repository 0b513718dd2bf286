//! The demo as it is seen while it runs: drawn anew on a terminal, a line for
//! each phase elsewhere. To standard error, so that standard output is left to
//! the summary. Shows; counts nothing.

use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::book::Book;
use super::paint::{Colour, Paint};
use super::script::{BUILT_IN, DAY, POLICY, Provider};
use super::stage::{PolicySight, Sight};
use super::table;
use super::witness::Witness;
use crate::cli::complain;
use crate::policy::PolicyState;

/// Changes shown on a terminal: the last ones.
const CHANGES: usize = 4;
/// Cells of a provider's share.
const BAR: usize = 24;
const FRAMES_PER_SECOND: u8 = 10;

/// Everything a frame shows.
#[derive(Debug)]
pub struct Frame<'a> {
    pub book: &'a Book,
    pub witness: &'a Witness,
    /// The phase under way.
    pub phase: usize,
    /// Since the beginning, and how long it is meant to take.
    pub elapsed: Duration,
    pub length: Duration,
}

/// See the module.
#[derive(Debug)]
pub enum View {
    /// On a terminal: a line of text each.
    Live {
        all: MultiProgress,
        lines: Vec<ProgressBar>,
        paint: Paint,
    },
    Lines,
}

impl View {
    /// Draws on a terminal, and writes lines anywhere else.
    pub fn open(is_terminal: bool, paint: Paint) -> Self {
        if !is_terminal {
            return Self::Lines;
        }
        let target = ProgressDrawTarget::stderr_with_hz(FRAMES_PER_SECOND);
        Self::Live { all: MultiProgress::with_draw_target(target), lines: Vec::new(), paint }
    }

    /// Shows how things are.
    pub fn draw(&mut self, frame: &Frame<'_>) {
        let Self::Live { all, lines, paint } = self else { return };
        for (number, text) in render(frame, *paint).into_iter().enumerate() {
            if number == lines.len() {
                let style = ProgressStyle::with_template("{wide_msg}")
                    .expect("a template without mistakes");
                lines.push(all.add(ProgressBar::no_length().with_style(style)));
            }
            lines[number].set_message(text);
        }
    }

    /// Where lines are written, they are written when a phase is over.
    pub fn phase_is_over(&self, frame: &Frame<'_>) {
        match self {
            Self::Live { .. } => {}
            Self::Lines => {
                let (page, title) = (frame.book.page(frame.phase), DAY[frame.phase].title);
                let seconds = frame.elapsed.as_secs_f64();
                let line = format!(
                    "{seconds:>6.1} s  {title}: {} calls, {} failed, {} rescued",
                    page.calls, page.failed, page.rescued
                );
                complain(&line);
            }
        }
    }

    /// Leaves the terminal to the summary.
    pub fn close(self) {
        match self {
            Self::Live { all, lines, .. } => {
                for line in &lines {
                    line.finish_and_clear();
                }
                // A terminal that is gone needs no clearing.
                let _ = all.clear();
            }
            Self::Lines => {}
        }
    }
}

/// A frame as lines of text, of any width.
fn render(frame: &Frame<'_>, paint: Paint) -> Vec<String> {
    let mut lines = vec![heading(frame, paint), String::new(), table::heading(paint)];
    lines.extend((0..DAY.len()).map(|phase| phase_line(frame, phase, paint)));
    lines.push(String::new());
    if let Some(sight) = frame.witness.last() {
        lines.push(paint.dim("  provider  circuit     errors  share of the last calls"));
        lines.extend(
            Provider::ALL.map(|provider| provider_line(frame.book, sight, provider, paint)),
        );
        lines.push(format!("  policy    {}", policy(sight)));
    }
    lines.push(String::new());
    let changes = frame.witness.changes();
    let skipped = changes.len().saturating_sub(CHANGES);
    let shown = changes.skip(skipped).map(|change| {
        let seconds = change.at.as_secs_f64();
        paint.dim(&format!("  {seconds:>5.1} s  {}", change.what))
    });
    lines.extend(shown.chain(std::iter::repeat_with(String::new)).take(CHANGES));
    lines
}

fn heading(frame: &Frame<'_>, paint: Paint) -> String {
    let total = frame.book.total();
    let failed = format!("{} failed", total.failed);
    let failed = paint.with(if total.failed == 0 { Colour::Green } else { Colour::Red }, &failed);
    format!(
        "  {}  {} of {} s   {} calls   {failed}   {} rescued",
        paint.bold("backstay demo: a bad day"),
        frame.elapsed.as_secs(),
        frame.length.as_secs(),
        total.calls,
        total.rescued,
    )
}

fn phase_line(frame: &Frame<'_>, phase: usize, paint: Paint) -> String {
    match phase.cmp(&frame.phase) {
        std::cmp::Ordering::Less => table::row(frame.book, phase, paint),
        std::cmp::Ordering::Equal => paint.bold(&table::row(frame.book, phase, Paint::Plain)),
        std::cmp::Ordering::Greater => paint.dim(&table::title(phase)),
    }
}

fn provider_line(book: &Book, sight: &Sight, provider: Provider, paint: Paint) -> String {
    let now = &sight.providers[provider.index()];
    let colour = match now.circuit {
        "closed" => Colour::Green,
        "half-open" => Colour::Yellow,
        _ => Colour::Red,
    };
    let circuit = paint.with(colour, &format!("{:<10}", now.circuit));
    let errors = format!("{:>4.0} %", now.error_rate * 100.0);
    let share = book.recent_share(provider.name());
    let filled = usize::try_from(share * BAR as u64 / 100).unwrap_or(BAR).min(BAR);
    let bar = format!("{}{}", "█".repeat(filled), "·".repeat(BAR - filled));
    format!("  {:<8}  {circuit}  {errors}  {bar} {share:>3} %", provider.name())
}

fn policy(sight: &Sight) -> String {
    let PolicySight { state, digest, faults, refusal, .. } = &sight.policy;
    let digest = digest.as_deref().unwrap_or("none");
    if sight.decider == BUILT_IN {
        return "the built-in decides".to_owned();
    }
    let state = match state {
        None | Some(PolicyState::Compiling | PolicyState::Refused) => {
            return "the built-in decides".to_owned();
        }
        Some(PolicyState::BuiltIn | PolicyState::Active) if refusal.is_some() => {
            "active; the file's latest content was refused"
        }
        Some(PolicyState::BuiltIn | PolicyState::Active) => "active",
        Some(PolicyState::Quarantined { .. }) => "in quarantine: the version before decides",
        Some(PolicyState::OnProbation) => "on probation",
    };
    format!("{POLICY}@{digest}  {state}  faults: {faults}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_always_has_the_same_lines() {
        let book = Book::new(DAY.len());
        let witness = Witness::default();
        let frame = |phase| Frame {
            book: &book,
            witness: &witness,
            phase,
            elapsed: Duration::from_secs(3),
            length: Duration::from_secs(40),
        };
        let first = render(&frame(0), Paint::Plain);
        assert_eq!(first.len(), render(&frame(9), Paint::Plain).len());
        assert!(first[0].contains("3 of 40 s"), "{first:?}");
        for phase in DAY {
            assert!(first.iter().any(|line| line.contains(phase.title)), "{}", phase.title);
        }
        assert!(first.iter().all(|line| !line.contains('\u{1b}')));
    }
}
