//! `sg-ai calibrate --lives`: what becomes of tests and of edges in whole lives of a daemon, at the level of statistics.
//! Searches nothing: see [`protocol::lives`].

use super::{CalibrateArgs, shared};
use crate::cli::{CliError, Context, output};
use crate::usecases::shared::lives::{Came, Kind, LivesTask, Of};
use anyhow::Context as _;
use evidence::binomial::clopper_pearson;
use genome::random::Seed;
use protocol::lives::{Lived, World};
use serde::Serialize;

const HOUR_MS: i64 = 3_600_000;
/// Ages at which edges begin, where none are named.
const AGES_MS: [i64; 6] =
    [HOUR_MS, 24 * HOUR_MS, 7 * 24 * HOUR_MS, 30 * 24 * HOUR_MS, 365 * 24 * HOUR_MS, 3 * 365 * 24 * HOUR_MS];
/// Years of the lives on noise and on markets that change.
const YEARS: u32 = 3;
/// Annual Sharpe ratio of what has no edge and pays costs.
const COSTS: f64 = -2.0;

/// What became of the tests of one kind of life, by year of life: means over all lives.
#[derive(Serialize)]
struct Years {
    world: String,
    sharpe: Option<f64>,
    lives: u64,
    /// Tests bought.
    tests: Vec<f64>,
    /// That promoted a strategy without an edge, standard errors, and what is allowed.
    false_promotions: Vec<f64>,
    standard_errors: Vec<f64>,
    allowed: f64,
    /// That promoted a strategy whose edge had died in shadow.
    dead_promotions: Vec<f64>,
    true_promotions: Vec<f64>,
}

/// An edge that begins at an age of the daemon.
#[derive(Serialize)]
struct Begins {
    sharpe: f64,
    age_hours: i64,
    lives: u64,
    /// Lives in which something of it was live within a year, their share, and its interval (Clopper-Pearson, 95 %).
    live: u64,
    rate: f64,
    ci95: (f64, f64),
    /// Until its first test, where there was one.
    median_days_to_test: Option<f64>,
    median_days_to_live: Option<f64>,
}

/// One tested candidate.
#[derive(Serialize)]
struct Candidate {
    sharpe: f64,
    tests: u64,
    /// Chance of going live: with the edge, and where it dies when shadow begins, to break-even or to costs.
    live: f64,
    dead_breaks_even: f64,
    dead_pays_costs: f64,
}

#[derive(Serialize)]
struct Found {
    candidates: Vec<Candidate>,
    begins: Vec<Begins>,
    years: Vec<Years>,
}

/// Simulates the lives and prints what became of them.
pub(super) async fn run(args: &CalibrateArgs, lives: u64, ctx: &Context) -> Result<(), CliError> {
    let config = ctx.config();
    let allowed = config.protocol.false_promotions_per_year;
    let task = LivesTask::Daemons {
        protocol: Box::new(config.protocol.clone()),
        limits: Box::new(config.lifecycle.clone()),
        holdout_days: args.size.days(config, 0).holdout,
        sessions_per_day: args.sessions_per_day,
    };
    let ages = if args.age.is_empty() { AGES_MS.to_vec() } else { args.age.clone() };
    let (sharpe, seed) = (&args.sharpe, Seed(args.seed));
    let begin: Vec<(f64, i64)> = sharpe.iter().flat_map(|s| ages.iter().map(move |age| (*s, *age))).collect();
    let worlds = worlds(sharpe);
    // Rows in the order in which they are printed, each of one kind of life, of candidates three.
    let tests = sharpe.iter().flat_map(|s| of_candidate(*s, seed));
    let begins_of = begin.iter().map(|(s, age)| of_beginning(*s, *age, seed));
    let kinds = tests.chain(begins_of).chain(worlds.iter().map(|world| of_world(*world, seed))).collect();
    let mut came = shared::lived(args, lives, task, kinds, ctx).await?.into_iter();
    let found = Found {
        candidates: sharpe.iter().map(|s| candidate(*s, lives, &mut came)).collect::<anyhow::Result<_>>()?,
        begins: begin.iter().map(|of| begins(*of, lives, &mut came)).collect::<anyhow::Result<_>>()?,
        years: worlds.iter().map(|w| years(*w, (lives, allowed), &mut came)).collect::<anyhow::Result<_>>()?,
    };
    if args.json { output::json(&found) } else { output::text(table(&found)) }.context("standard output")?;
    Ok(())
}

fn worlds(sharpe: &[f64]) -> Vec<World> {
    let noise = [World::Noise(0.0), World::Noise(COSTS)];
    noise.into_iter().chain(sharpe.iter().map(|s| World::Changing(*s))).collect()
}

/// What became of lives, kind by kind.
type AllCame<'a> = &'a mut dyn Iterator<Item = Came>;

fn tests_of(came: AllCame<'_>) -> anyhow::Result<Vec<bool>> {
    let Some(Came::Tests(all)) = came.next() else { anyhow::bail!("no tests of candidates") };
    Ok(all)
}

fn lived_of(came: AllCame<'_>) -> anyhow::Result<Vec<Lived>> {
    let Some(Came::Daemons(all)) = came.next() else { anyhow::bail!("no lives of daemons") };
    Ok(all)
}

fn of_candidate(sharpe: f64, seed: Seed) -> [Kind; 3] {
    let seed = seed.child("candidate", sharpe.to_bits());
    let dying = |after| Of::Dying { sharpe, after };
    [Of::Candidate { sharpe }, dying(0.0), dying(COSTS)].map(|of| Kind { seed, of })
}

fn candidate(sharpe: f64, tests: u64, came: AllCame<'_>) -> anyhow::Result<Candidate> {
    let mut share = || {
        let count = tests_of(came)?.into_iter().filter(|live| *live).count();
        Ok::<_, anyhow::Error>(count as f64 / tests as f64)
    };
    Ok(Candidate { sharpe, tests, live: share()?, dead_breaks_even: share()?, dead_pays_costs: share()? })
}

fn of_beginning(sharpe: f64, age_ms: i64, seed: Seed) -> Kind {
    let from_day = u32::try_from(age_ms / (24 * HOUR_MS)).unwrap_or(u32::MAX / 2);
    let seed = seed.child("begins", sharpe.to_bits()).child("age", age_ms.unsigned_abs());
    Kind { seed, of: Of::Daemon { world: World::Lasting { sharpe, from_day }, years: from_day.div_ceil(365) + 1 } }
}

fn begins((sharpe, age_ms): (f64, i64), lives: u64, came: AllCame<'_>) -> anyhow::Result<Begins> {
    let all = lived_of(came)?;
    let live: u64 = all.iter().map(|l| u64::from(l.edges_live)).sum();
    Ok(Begins {
        sharpe,
        age_hours: age_ms / HOUR_MS,
        lives,
        live,
        rate: live as f64 / lives as f64,
        ci95: clopper_pearson(live, lives, 0.95).unwrap_or((0.0, 1.0)),
        median_days_to_test: median(all.iter().flat_map(|l| l.days_to_test.clone()).collect()),
        median_days_to_live: median(all.iter().flat_map(|l| l.days_to_live.clone()).collect()),
    })
}

const fn named(world: World) -> (&'static str, Option<f64>) {
    match world {
        World::Noise(0.0) => ("noise", None),
        World::Noise(_) => ("noise and costs", None),
        World::Lasting { sharpe, .. } => ("lasting", Some(sharpe)),
        World::Changing(sharpe) => ("changing", Some(sharpe)),
    }
}

fn of_world(world: World, seed: Seed) -> Kind {
    let (name, sharpe) = named(world);
    Kind { seed: seed.child(name, sharpe.unwrap_or(0.0).to_bits()), of: Of::Daemon { world, years: YEARS } }
}

fn years(world: World, (lives, allowed): (u64, f64), came: AllCame<'_>) -> anyhow::Result<Years> {
    let (world, sharpe) = named(world);
    let all = lived_of(came)?;
    let by_year = |of: fn(&Lived) -> &Vec<u32>| -> Vec<f64> {
        let sum = |year: usize| all.iter().map(|l| f64::from(of(l)[year])).sum::<f64>();
        (0..YEARS as usize).map(|year| sum(year) / lives as f64).collect()
    };
    let false_promotions = by_year(|l| &l.false_promotions);
    let error = |(year, mean): (usize, &f64)| {
        let squares = all.iter().map(|l| (f64::from(l.false_promotions[year]) - mean).powi(2)).sum::<f64>();
        (squares / (lives.max(2) - 1) as f64 / lives as f64).sqrt()
    };
    Ok(Years {
        world: world.to_owned(),
        sharpe,
        lives,
        tests: by_year(|l| &l.tests),
        standard_errors: false_promotions.iter().enumerate().map(error).collect(),
        false_promotions,
        allowed,
        dead_promotions: by_year(|l| &l.dead_promotions),
        true_promotions: by_year(|l| &l.true_promotions),
    })
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len().checked_sub(1)? / 2).copied()
}

fn table(found: &Found) -> String {
    let mut text = format!(
        "One tested candidate: chance of going live, %\n{:>6} {:>8} {:>7} {:>17} {:>16}\n",
        "sharpe", "tests", "live", "dead, breaks even", "dead, pays costs"
    );
    for c in &found.candidates {
        let percent = [c.live, c.dead_breaks_even, c.dead_pays_costs].map(|v| 100.0 * v);
        text +=
            &format!("{:>6} {:>8} {:>7.1} {:>17.1} {:>16.1}\n", c.sharpe, c.tests, percent[0], percent[1], percent[2]);
    }
    text += &format!(
        "\nAn edge that begins at an age of the daemon: live within a year\n{:>6} {:>8} {:>7} {:>7} {:>15} {:>12} {:>12}\n",
        "sharpe", "age", "lives", "rate %", "95 % interval", "days to test", "days to live"
    );
    let days = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |v| format!("{v:.0}"));
    for b in &found.begins {
        let interval = format!("{:.1} - {:.1}", 100.0 * b.ci95.0, 100.0 * b.ci95.1);
        text += &format!(
            "{:>6} {:>8} {:>7} {:>7.1} {:>15} {:>12} {:>12}\n",
            b.sharpe,
            age(b.age_hours),
            b.lives,
            100.0 * b.rate,
            interval,
            days(b.median_days_to_test),
            days(b.median_days_to_live)
        );
    }
    text += &format!(
        "\nTests by year of life: false promotions a year (at most {} allowed)\n{:<16} {:>6} {:>7}  {}\n",
        found.years.first().map_or(0.0, |y| y.allowed),
        "market",
        "sharpe",
        "lives",
        "each year: tests, false promotions (standard error), of dead edges, of living ones"
    );
    for y in &found.years {
        let sharpe = y.sharpe.map_or_else(|| "-".to_owned(), |s| s.to_string());
        text += &format!("{:<16} {sharpe:>6} {:>7}", y.world, y.lives);
        for year in 0..y.tests.len() {
            text += &format!(
                "  | {:.1}, {:.4} ({:.4}), {:.3}, {:.2}",
                y.tests[year],
                y.false_promotions[year],
                y.standard_errors[year],
                y.dead_promotions[year],
                y.true_promotions[year]
            );
        }
        text.push('\n');
    }
    text
}

fn age(hours: i64) -> String {
    match hours {
        h if h % (24 * 365) == 0 && h > 0 => format!("{}y", h / (24 * 365)),
        h if h % 24 == 0 && h > 0 => format!("{}d", h / 24),
        h => format!("{h}h"),
    }
}
