//! The cheapest target that fits, within a budget a day for each tenant.
//!
//! ```toml
//! [routes."gpt-5".policy_settings]
//! dollars_per_day = 5.0
//! usual_output_tokens = 500     # of calls that set no limit themselves
//! ```

wit_bindgen::generate!({ world: "policy", path: "wit" });

use backstay::policy::exchange::{Output, Request};
use backstay::policy::host::{Level, log, tally};
use backstay::policy::types::Refusal;
use exports::backstay::policy::failover_policy::{
    Attempt, Call, Candidate, Guest, Ruling, Selection, Verdict,
};

const DAY_MS: f64 = 86_400_000.0;
/// What a call is taken to answer with when nobody says.
const OUTPUT_TOKENS: u64 = 500;

struct Budget;

impl Guest for Budget {
    fn select_provider(
        call: Call,
        _request: &Request,
        candidates: Vec<Candidate>,
        attempts: Vec<Attempt>,
    ) -> Option<Selection> {
        let settings: serde_json::Value = serde_json::from_str(&call.settings).ok()?;
        let usual = settings["usual_output_tokens"].as_u64().unwrap_or(OUTPUT_TOKENS);
        let output_tokens = call.max_output_tokens.map_or(usual as f64, f64::from);
        let (id, dollars) = cheapest(&call, output_tokens, &candidates)?;
        // A call is paid for once: what failed before cost nothing.
        if attempts.is_empty()
            && let Some(budget) = settings["dollars_per_day"].as_f64()
            && let Err(refusal) = spend(&call, dollars, budget)
        {
            return Some(Selection::Refuse(refusal));
        }
        Some(Selection::Pick(id))
    }

    fn classify_error(_: Call, _: Vec<Candidate>, _: Vec<Attempt>) -> Option<Ruling> {
        None
    }

    fn validate_output(_: Call, _: &Request, _: Candidate, _: &Output) -> Option<Verdict> {
        None
    }
}

/// The candidate that could take the call now at the least price, and that
/// price in dollars. One whose price is not configured is not compared.
fn cheapest(call: &Call, output_tokens: f64, candidates: &[Candidate]) -> Option<(u32, f64)> {
    let fits = |c: &Candidate| {
        let tokens = f64::from(call.input_tokens) + output_tokens;
        let window = c.context_window.map_or(f64::INFINITY, f64::from);
        c.barred.is_none() && c.tried == 0 && c.offers.contains(call.needs) && tokens <= window
    };
    let priced = |(id, c): (usize, &Candidate)| {
        let input = f64::from(call.input_tokens) * c.input_price?;
        Some((id as u32, (input + output_tokens * c.output_price?) / 1e6))
    };
    let usable = candidates.iter().enumerate().filter(|(_, c)| fits(c));
    usable.filter_map(priced).min_by(|a, b| a.1.total_cmp(&b.1))
}

/// What a whole budget is counted as: whatever its size, a tally has room for
/// it, and no call is too cheap to be counted.
const WHOLE: f64 = 1e9;

/// Adds to what the tenant has spent today. If that would be too much, nothing
/// is added and the call refused until the day ends (in UTC). Calls that come
/// in the same instant may together go a little beyond the budget.
fn spend(call: &Call, dollars: f64, budget: f64) -> Result<(), Refusal> {
    let tenant = call.tenant.as_deref().unwrap_or("everyone");
    let day = (call.now / DAY_MS).floor();
    let key = format!("spent:{day}:{tenant}");
    let before = f64::from(tally(&key, 0, DAY_MS as u32));
    let spent = before + (dollars / budget.max(0.0) * WHOLE).ceil();
    if spent > WHOLE {
        return Err(Refusal {
            status: 429,
            code: "budget_exhausted".into(),
            message: format!("{tenant} has used up the budget of {budget} dollars for today"),
            retry_after: Some(((day + 1.0) * DAY_MS - call.now) as u32),
        });
    }
    tally(&key, (spent - before) as i32, DAY_MS as u32);
    // Told once, by the call that crosses the line.
    if before < WHOLE * 0.8 && spent >= WHOLE * 0.8 {
        log(Level::Warn, &format!("{tenant} has used 80 % of its budget for today"));
    }
    Ok(())
}

export!(Budget);
