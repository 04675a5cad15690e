//! `sg-ai protocol`: what a candidate has to show now, what was spent on tests, and how long an edge needs.

use super::{CliError, Context, output};
use crate::usecases::database::Database;
use anyhow::Context as _;
use candles::time::rfc3339;
use clap::{Args, Subcommand};
use genome::random::Seed;
use lifecycle::Thresholds;
use protocol::lives::{Life, World};
use protocol::{ProtocolConfig, TestStatus};
use serde::Serialize;

/// Look at what a candidate has to show to go live, and plan for weaker edges
#[derive(Args, Debug)]
pub(crate) struct ProtocolArgs {
    #[command(subcommand)]
    command: ProtocolCommand,
}

#[derive(Debug, Subcommand)]
enum ProtocolCommand {
    /// Tell what a candidate has to show now, what was spent on tests, and when the next one is free
    Status {
        /// Print JSON, an object
        #[arg(long)]
        json: bool,
    },
    /// Tell how long a hold-out and shadow an edge needs under these settings, and which settings shorten them
    Plan {
        /// Annual Sharpe ratio after costs that the edge gives whoever knows it; a search knows a part of it
        #[arg(long, value_name = "RATIO")]
        sharpe: f64,
        /// Simulated tests for each line
        #[arg(long, value_name = "COUNT", default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
        tests: u64,
        /// Names every random number
        #[arg(long, value_name = "NUMBER", default_value_t = 1)]
        seed: u64,
        /// Print JSON, an object
        #[arg(long)]
        json: bool,
    },
}

/// Runs `sg-ai protocol`.
///
/// # Errors
/// When the options are wrong or the database does not answer.
pub(crate) async fn run(args: ProtocolArgs, ctx: &Context) -> Result<(), CliError> {
    match args.command {
        ProtocolCommand::Status { json } => status(json, ctx).await,
        ProtocolCommand::Plan { sharpe, tests, seed, json } => {
            if !(sharpe > 0.0 && sharpe <= 100.0) {
                return Err(CliError::Usage(format!("--sharpe must be above 0 and at most 100, not {sharpe}")));
            }
            let config = ctx.config();
            let (protocol, limits) = (config.protocol.clone(), config.lifecycle.clone());
            let holdout_days = config.daemon.holdout_days;
            let work = move || Plan::of(sharpe, (&protocol, &limits), holdout_days, (tests, Seed(seed)));
            let plan = tokio::task::spawn_blocking(work).await.context("the simulation broke off")?;
            if json { output::json(&plan) } else { output::text(plan.text()) }.context("standard output")?;
            Ok(())
        }
    }
}

/// The account beside the settings of the next session.
#[derive(Serialize)]
struct Status {
    /// As of the last session; null before the first one.
    tests: Option<TestStatus>,
    /// What the next session is told.
    false_promotions_per_year: f64,
    dead_promotions: f64,
    shadow_threshold: f64,
}

async fn status(json: bool, ctx: &Context) -> Result<(), CliError> {
    let config = ctx.config();
    let opened = Database::open(config).await?;
    let tests = opened.store.test_status().await;
    opened.close().await;
    let (protocol, limits) = (&config.protocol, &config.lifecycle);
    let status = Status {
        tests: tests.context("the account of tests")?,
        false_promotions_per_year: protocol.false_promotions_per_year,
        dead_promotions: protocol.dead_promotions,
        shadow_threshold: lifecycle::needed_of_shadow(limits, Some(protocol.dead_promotions), None, 0.0).exp(),
    };
    if json { output::json(&status) } else { output::text(status.text()) }.context("standard output")?;
    Ok(())
}

impl Status {
    fn text(&self) -> String {
        let mut text = format!(
            "allowed           {} false promotions of the tests of a market year, in expectation\nshadow alone      an e-value >= \
             {:.0}, more where several are tested at once or the hold-out promises more\n",
            self.false_promotions_per_year, self.shadow_threshold
        );
        let Some(t) = &self.tests else { return text + "no session has ended yet\n" };
        let at = |ms: i64| rfc3339(ms).unwrap_or_else(|| format!("{ms} ms"));
        text += &format!("as of             {} of market time\n", at(t.at_ms));
        text += &match (t.promotion_threshold, t.sells_ms) {
            (Some(threshold), _) => format!("tested now        goes live at an e-value >= {threshold:.0}\n"),
            (None, ms) => {
                format!("tested now        nothing: too little is left before {}\n", at(ms.unwrap_or(t.at_ms)))
            }
        };
        text += &match t.full_ms {
            Some(ms) => format!(
                "account           {:.4}; full {} if nothing is tested: {:.0}\n",
                t.balance,
                at(ms),
                t.least_threshold
            ),
            None => format!("account           {:.4}: full\n", t.balance),
        };
        text += &format!(
            "the year before   {} tests, {:.4} false promotions in expectation\n",
            t.bought_last_year, t.spent_last_year
        );
        if t.false_promotions_per_year != self.false_promotions_per_year {
            text += &format!(
                "settings changed  the last session was allowed {} a year; what was spent stays spent, and what is there is at \
                 most what the new setting can save\n",
                t.false_promotions_per_year
            );
        }
        text
    }
}

/// Chances of a tested candidate under other lengths and settings.
#[derive(Serialize)]
struct Plan {
    sharpe: f64,
    /// Simulated tests for each chance.
    tests: u64,
    /// Chance under the settings as they are, fraction.
    chance: f64,
    /// Longest time in shadow under the settings as they are.
    shadow_days: u32,
    holdout_days: u32,
    /// Chance by hold-out; shadow as it is.
    by_holdout: Vec<Chance>,
    /// Chance by longest time in shadow; hold-out as it is.
    by_shadow: Vec<Chance>,
    /// Chance with hold-out and shadow of these days each.
    by_both: Vec<Chance>,
    /// Chance under one other setting each; hold-out as it is.
    by_setting: Vec<Chance>,
    /// The fewest days of both, of those tried, with a chance of one half, and of four fifths.
    half_days: Option<u32>,
    four_fifths_days: Option<u32>,
}

#[derive(Clone, Serialize)]
struct Chance {
    what: String,
    chance: f64,
}

/// Lengths that are tried, days.
const LENGTHS: [u32; 7] = [90, 180, 365, 730, 1_095, 1_825, 3_650];

impl Plan {
    fn of(
        sharpe: f64,
        (protocol, limits): (&ProtocolConfig, &Thresholds),
        holdout_days: u32,
        (tests, seed): (u64, Seed),
    ) -> Self {
        let chance = |protocol: &ProtocolConfig, limits: &Thresholds, holdout_days: u32| {
            let life = Life { world: World::Noise(0.0), protocol, limits, holdout_days, sessions_per_day: 1, years: 1 };
            let live = (0..tests).filter(|n| life.candidate_goes_live(sharpe, seed.child("plan", *n))).count();
            live as f64 / tests as f64
        };
        let shadow = |days: u32| Thresholds {
            shadow_max_days: f64::from(days),
            shadow_min_days: limits.shadow_min_days.min(f64::from(days)),
            ..limits.clone()
        };
        let both: Vec<(u32, f64)> = LENGTHS.map(|days| (days, chance(protocol, &shadow(days), days))).to_vec();
        let shortest = |least: f64| both.iter().find(|(_, chance)| *chance >= least).map(|(days, _)| *days);
        let named = |key: &str, days: u32, chance: f64| Chance { what: format!("{key} = {days}"), chance };
        let setting = |what: String, protocol: &ProtocolConfig, limits: &Thresholds| Chance {
            what,
            chance: chance(protocol, limits, holdout_days),
        };
        let false_promotions_per_year = (2.0 * protocol.false_promotions_per_year).min(1.0);
        let more_false = ProtocolConfig { false_promotions_per_year, ..protocol.clone() };
        let dead_promotions = (2.0 * protocol.dead_promotions).min(1.0);
        let more_dead = ProtocolConfig { dead_promotions, ..protocol.clone() };
        let less_promised =
            Thresholds { shadow_promise_fraction: limits.shadow_promise_fraction / 2.0, ..limits.clone() };
        Self {
            sharpe,
            tests,
            chance: chance(protocol, limits, holdout_days),
            shadow_days: limits.shadow_max_days as u32,
            holdout_days,
            by_setting: vec![
                setting(
                    format!("protocol.false_promotions_per_year = {false_promotions_per_year}"),
                    &more_false,
                    limits,
                ),
                setting(format!("protocol.dead_promotions = {dead_promotions}"), &more_dead, limits),
                setting(
                    format!("lifecycle.shadow_promise_fraction = {}", less_promised.shadow_promise_fraction),
                    protocol,
                    &less_promised,
                ),
            ],
            half_days: shortest(0.5),
            four_fifths_days: shortest(0.8),
            by_holdout: LENGTHS.map(|days| named("daemon.holdout_days", days, chance(protocol, limits, days))).to_vec(),
            by_shadow: LENGTHS
                .map(|days| named("lifecycle.shadow_max_days", days, chance(protocol, &shadow(days), holdout_days)))
                .to_vec(),
            by_both: both.iter().map(|(days, chance)| named("both", *days, *chance)).collect(),
        }
    }

    fn text(&self) -> String {
        let mut text = format!(
            "One tested candidate of an edge whose Sharpe ratio is {} for whoever knows it goes live with a chance of \
             {:.1} % ({} days of hold-out, at most {} of shadow).\n\n",
            self.sharpe,
            100.0 * self.chance,
            self.holdout_days,
            self.shadow_days
        );
        for (title, chances) in [
            ("hold-out", &self.by_holdout),
            ("longest time in shadow", &self.by_shadow),
            ("hold-out and shadow", &self.by_both),
            ("one setting otherwise", &self.by_setting),
        ] {
            text += &format!("{title:<46} chance, %\n");
            for c in chances {
                text += &format!("  {:<44} {:>8.1}\n", c.what, 100.0 * c.chance);
            }
        }
        let days =
            |found: Option<u32>| found.map_or_else(|| "more than were tried".to_owned(), |days| format!("{days} days"));
        text += &format!(
            "\nhold-out and shadow each for an even chance: {}; for four of five: {}\n",
            days(self.half_days),
            days(self.four_fifths_days)
        );
        text + "A model of normal steps in which a search knows 65 to 95 % of an edge: see docs/EVIDENCE.md.\n"
    }
}
