//! The timeline as a drawing (SVG): calls, shares of the targets, and circuits
//! over time, one block a policy. Written out by hand: bands and lanes over one
//! axis of time are rectangles and text, which no library of charts has.

use std::fmt::Write as _;

use super::numbers::whole;
use super::report::{Circuit, Report, ScenarioResult, TargetFigures, Traffic};

const WIDTH: f64 = 1000.0;
const LEFT: f64 = 176.0;
const RIGHT: f64 = 24.0;
const PLOT: f64 = WIDTH - LEFT - RIGHT;
const TOP: f64 = 64.0;
const CALLS_HEIGHT: f64 = 110.0;
const SHARES_HEIGHT: f64 = 130.0;
const LANE: f64 = 18.0;
const GAP: f64 = 34.0;
const LEGEND: f64 = 22.0;

const INK: &str = "#1f2933";
const FAINT: &str = "#7b8794";
const GRID: &str = "#e4e7eb";
const GOOD: &str = "#b6c8dc";
const BAD: &str = "#c8321e";
const TROUBLE: &str = "#f6d9a8";
/// Colours that differ also to those who see few (Okabe and Ito).
const COLOURS: [&str; 8] =
    ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8c8c00", "#666666"];

/// Lengths of a step between two marks of time, in seconds.
const STEPS: [f64; 15] = [
    1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0, 900.0, 1_800.0, 3_600.0, 7_200.0, 10_800.0, 21_600.0,
    43_200.0, 86_400.0,
];
const MOST_MARKS: f64 = 12.0;

/// A drawing under way.
struct Sheet {
    text: String,
    duration: f64,
}

/// The timeline of a scenario.
#[must_use]
pub fn draw(result: &ScenarioResult) -> String {
    let reports: Vec<(&Report, &Traffic)> =
        result.reports.iter().filter_map(|r| Some((r, r.traffic.as_ref()?))).collect();
    let mut sheet = Sheet { text: String::new(), duration: result.duration_s.max(1.0) };
    let across = WIDTH - 48.0;
    sheet.label(24.0, 28.0, (18, "bold", INK, "start"), &fitted(&result.scenario, across, 18));
    sheet.label(24.0, 48.0, (12, "normal", FAINT, "start"), &shortened(&result.about));
    let mut y = TOP;
    for (report, traffic) in &reports {
        y = block(&mut sheet, y, report, traffic, result);
    }
    if reports.is_empty() {
        sheet.label(24.0, y + 16.0, (13, "normal", INK, "start"), "There was no traffic.");
        y += 32.0;
    }
    let body = sheet.text;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{y}\" \
         viewBox=\"0 0 {WIDTH} {y}\" font-family=\"Helvetica, Arial, sans-serif\">\n\
         <rect width=\"{WIDTH}\" height=\"{y}\" fill=\"#ffffff\"/>\n{body}</svg>\n"
    )
}

/// One policy; gives back where the next block begins.
fn block(
    sheet: &mut Sheet,
    top: f64,
    report: &Report,
    traffic: &Traffic,
    result: &ScenarioResult,
) -> f64 {
    let figures = &traffic.figures;
    let heading = format!(
        "{} ({})   {:.3} % of {} calls answered, {:.3} attempts a call",
        fitted(&report.policy.name, WIDTH / 2.0, 13),
        report.policy.digest,
        figures.availability * 100.0,
        figures.calls,
        figures.attempts_per_call
    );
    sheet.label(24.0, top + 16.0, (13, "bold", INK, "start"), &heading);
    let calls = top + 34.0;
    let shares = calls + CALLS_HEIGHT + GAP;
    let lanes = shares + SHARES_HEIGHT + GAP;
    let bottom = lanes + LANE * figures.targets.len() as f64;
    marks(sheet, calls, bottom);
    call_bars(sheet, calls, traffic);
    share_bars(sheet, shares, traffic);
    legend(sheet, shares + SHARES_HEIGHT + 6.0, &figures.targets);
    circuit_lanes(sheet, lanes, traffic, result);
    times(sheet, bottom + 16.0);
    bottom + 48.0
}

impl Sheet {
    fn x(&self, seconds: f64) -> f64 {
        LEFT + PLOT * (seconds / self.duration).clamp(0.0, 1.0)
    }

    fn rect(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), fill: &str) {
        if width > 0.0 && height > 0.0 {
            let _ = writeln!(
                self.text,
                "<rect x=\"{x:.2}\" y=\"{y:.2}\" width=\"{width:.2}\" height=\"{height:.2}\" \
                 fill=\"{fill}\" shape-rendering=\"crispEdges\"/>"
            );
        }
    }

    fn line(&mut self, from: (f64, f64), to: (f64, f64), colour: &str) {
        let _ = writeln!(
            self.text,
            "<line x1=\"{:.2}\" y1=\"{:.2}\" x2=\"{:.2}\" y2=\"{:.2}\" stroke=\"{colour}\"/>",
            from.0, from.1, to.0, to.1
        );
    }

    /// Size, weight, colour and anchor of a text.
    fn label(&mut self, x: f64, y: f64, style: (u32, &str, &str, &str), text: &str) {
        let (size, weight, colour, anchor) = style;
        let _ = writeln!(
            self.text,
            "<text x=\"{x:.2}\" y=\"{y:.2}\" font-size=\"{size}\" font-weight=\"{weight}\" \
             fill=\"{colour}\" text-anchor=\"{anchor}\">{}</text>",
            escaped(text)
        );
    }

    fn beside(&mut self, y: f64, text: &str) {
        let text = fitted(text, LEFT - 18.0, 11);
        self.label(LEFT - 10.0, y, (11, "normal", FAINT, "end"), &text);
    }
}

/// The step between two marks of time.
fn step(duration: f64) -> f64 {
    let fits = STEPS.iter().find(|step| duration / **step <= MOST_MARKS);
    fits.copied().unwrap_or_else(|| (duration / MOST_MARKS / 86_400.0).ceil() * 86_400.0)
}

fn marks(sheet: &mut Sheet, top: f64, bottom: f64) {
    for at in times_of(sheet.duration) {
        let x = sheet.x(at);
        sheet.line((x, top), (x, bottom), GRID);
    }
}

fn times(sheet: &mut Sheet, y: f64) {
    for at in times_of(sheet.duration) {
        let x = sheet.x(at);
        sheet.label(x, y, (11, "normal", FAINT, "middle"), &clock(at));
    }
}

fn times_of(duration: f64) -> Vec<f64> {
    let step = step(duration);
    let mut times = Vec::new();
    let mut at = 0.0;
    while at <= duration {
        times.push(at);
        at += step;
    }
    times
}

/// Hours and minutes, or minutes and seconds where the run is short.
fn clock(seconds: f64) -> String {
    let all = whole(seconds);
    let (hours, minutes, seconds) = (all / 3_600, all / 60 % 60, all % 60);
    if seconds == 0 {
        format!("{hours:02}:{minutes:02}")
    } else {
        format!("{hours:02}:{minutes:02}:{seconds:02}")
    }
}

/// Calls a second: answered ones, and on top of them those that failed.
fn call_bars(sheet: &mut Sheet, top: f64, traffic: &Traffic) {
    let timeline = &traffic.timeline;
    let most = timeline.steps.iter().map(|step| step.calls).max().unwrap_or(0).max(1) as f64;
    let bottom = top + CALLS_HEIGHT;
    let width = sheet.x(timeline.step_s) - LEFT;
    for (number, step) in timeline.steps.iter().enumerate() {
        let x = sheet.x(number as f64 * timeline.step_s);
        let height = |count: u64| CALLS_HEIGHT * count as f64 / most;
        let (good, all) = (height(step.succeeded), height(step.calls));
        sheet.rect((x, bottom - good), (width, good), GOOD);
        sheet.rect((x, bottom - all), (width, all - good), BAD);
    }
    sheet.line((LEFT, bottom), (LEFT + PLOT, bottom), FAINT);
    sheet.label(24.0, top + 10.0, (12, "bold", INK, "start"), "calls");
    sheet.beside(top + 10.0, &format!("{:.1}/s", most / timeline.step_s.max(1e-3)));
    sheet.beside(bottom, "0");
    let y = top + 20.0;
    sheet.rect((24.0, y + 8.0), (10.0, 10.0), GOOD);
    sheet.label(40.0, y + 17.0, (11, "normal", INK, "start"), "answered");
    sheet.rect((24.0, y + 24.0), (10.0, 10.0), BAD);
    sheet.label(40.0, y + 33.0, (11, "normal", INK, "start"), "failed");
}

/// Who answered, as shares of the answers.
fn share_bars(sheet: &mut Sheet, top: f64, traffic: &Traffic) {
    let timeline = &traffic.timeline;
    let width = sheet.x(timeline.step_s) - LEFT;
    for (number, step) in timeline.steps.iter().enumerate() {
        let all = step.answered.iter().sum::<u64>().max(1) as f64;
        let x = sheet.x(number as f64 * timeline.step_s);
        let mut y = top + SHARES_HEIGHT;
        for (target, count) in step.answered.iter().enumerate() {
            let height = SHARES_HEIGHT * *count as f64 / all;
            y -= height;
            sheet.rect((x, y), (width, height), colour(target));
        }
    }
    let bottom = top + SHARES_HEIGHT;
    sheet.line((LEFT, bottom), (LEFT + PLOT, bottom), FAINT);
    sheet.label(24.0, top + 10.0, (12, "bold", INK, "start"), "answered by");
    sheet.beside(top + 10.0, "100 %");
    sheet.beside(bottom, "0");
}

fn legend(sheet: &mut Sheet, y: f64, targets: &[TargetFigures]) {
    let width = PLOT / targets.len().clamp(1, 5) as f64;
    for (number, target) in targets.iter().enumerate().take(5) {
        let x = LEFT + width * number as f64;
        sheet.rect((x, y), (10.0, 10.0), colour(number));
        let share = format!(" {:.1} %", target.share * 100.0);
        let text = fitted(&target.target, width - 64.0, 11) + &share;
        sheet.label(x + 16.0, y + 9.0, (11, "normal", INK, "start"), &text);
    }
}

/// A lane for each target: when its provider was in trouble, and on top of that
/// when its circuit was not closed.
fn circuit_lanes(sheet: &mut Sheet, top: f64, traffic: &Traffic, result: &ScenarioResult) {
    sheet.label(24.0, top - 8.0, (12, "bold", INK, "start"), "circuits");
    for (number, target) in traffic.figures.targets.iter().enumerate() {
        let y = top + LANE * number as f64;
        sheet.rect((LEFT, y + 1.0), (PLOT, LANE - 2.0), "#f5f7fa");
        for window in result.windows.iter().filter(|window| window.troubles(&target.target)) {
            let (from, until) = (sheet.x(window.from_s), sheet.x(window.until_s));
            sheet.rect((from, y + 1.0), (until - from, LANE - 2.0), TROUBLE);
        }
        for (from, until) in open_times(&target.target, &traffic.circuits, sheet.duration) {
            let (from, until) = (sheet.x(from), sheet.x(until));
            sheet.rect((from, y + 5.0), ((until - from).max(1.0), LANE - 10.0), BAD);
        }
        sheet.beside(y + 13.0, &target.target);
    }
    let y = top + LANE * traffic.figures.targets.len() as f64 + LEGEND + 6.0;
    sheet.rect((LEFT, y), (10.0, 10.0), TROUBLE);
    sheet.label(LEFT + 16.0, y + 9.0, (11, "normal", INK, "start"), "its provider is in trouble");
    sheet.rect((LEFT + 180.0, y + 3.0), (10.0, 5.0), BAD);
    sheet.label(LEFT + 196.0, y + 9.0, (11, "normal", INK, "start"), "circuit open");
}

/// From an opening to the next closing, in seconds.
fn open_times(target: &str, changes: &[Circuit], duration: f64) -> Vec<(f64, f64)> {
    let mut times = Vec::new();
    let mut since = None;
    for change in changes.iter().filter(|change| change.target == target) {
        match (change.to, since) {
            ("open", None) => since = Some(change.at_s),
            ("closed", Some(from)) => {
                times.push((from, change.at_s));
                since = None;
            }
            _ => {}
        }
    }
    times.extend(since.map(|from| (from, duration)));
    times
}

const fn colour(target: usize) -> &'static str {
    COLOURS[target % COLOURS.len()]
}

/// As much of a text as has room, from both its ends: models differ in their
/// last characters.
fn fitted(text: &str, width: f64, size: u32) -> String {
    /// Of a character, for its size: on average, and of bold ones.
    const WIDTH_OF_ONE: f64 = 0.58;
    let room = usize::try_from(whole(width / (f64::from(size) * WIDTH_OF_ONE))).unwrap_or(0).max(3);
    let letters: Vec<char> = text.chars().collect();
    if letters.len() <= room {
        return text.to_owned();
    }
    let (head, tail) = (room / 2, room - room / 2 - 1);
    let ends = [&letters[..head], &['…'], &letters[letters.len() - tail..]];
    ends.concat().into_iter().collect()
}

fn shortened(text: &str) -> String {
    const MOST: usize = 150;
    let cut: String = text.chars().take(MOST).collect();
    if cut.len() < text.len() { format!("{cut}…") } else { cut }
}

/// Text that cannot be mistaken for markup.
fn escaped(text: &str) -> String {
    let plain = text.chars().filter(|c| !c.is_control()).collect::<String>();
    plain.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_has_no_room_keeps_both_its_ends() {
        for (width, expected) in
            [(200.0, "provider/a-model-of-a-long-name"), (83.0, "provid…g-name"), (0.0, "p…e")]
        {
            assert_eq!(fitted("provider/a-model-of-a-long-name", width, 11), expected, "{width}");
        }
    }
}
