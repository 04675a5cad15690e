//! A population beside each of its strategies alone, at any number of threads; and what cannot be evaluated.

use crate::worlds::{self, rng};
use candles::time::DAY_MS;
use engine::Outcome;
use genome::{
    Ranking, Timeframe,
    variation::{RankingVariation, mutate_ranking, random_ranking},
};
use portfolio::{Market, Panel, PortfolioTerms, Results, RunError, run};
use rand::RngExt;

fn with_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
}

/// What a search breeds, with look-backs that fit into a world of some weeks, and some of any kind.
fn population(rng: &mut impl rand::Rng, ties: bool) -> Vec<Ranking> {
    let config = RankingVariation {
        universe_top: vec![5],
        universe_volume_days: 3,
        universe_listed_days: 1,
        lookback_days: (1, 8),
        ..RankingVariation::default()
    };
    let bred = |rng: &mut _| {
        let random = random_ranking(&config, rng);
        mutate_ranking(&random, &config, rng)
    };
    let mut all: Vec<Ranking> = (0..12).map(|_| bred(rng)).collect();
    all.extend((0..6).map(|_| worlds::strategy(rng, ties)));
    all
}

#[test]
fn a_population_comes_to_what_each_of_its_strategies_comes_to_alone() {
    let (mut compared, mut traded, mut entries) = (0, 0, 0);
    for seed in 0..40 {
        let rng = &mut rng(1_000 + seed);
        let ties = rng.random_bool(0.25);
        let world = worlds::world(rng, ties);
        let (all, terms) = (population(rng, ties), worlds::terms(rng));
        let Ok(panel) = Panel::new(world.market, Timeframe::H4, world.tickers, &world.table) else { continue };
        let refs: Vec<&Ranking> = all.iter().collect();
        let evaluated = |threads| {
            with_threads(threads, || Market::new(&panel, world.from, world.to, terms).unwrap().evaluate(&refs))
        };
        let found: Vec<Result<Outcome, RunError>> = evaluated(1);
        assert_eq!(found, evaluated(2), "seed {seed}");
        assert_eq!(found, evaluated(4), "seed {seed}");
        let measured = Market::new(&panel, world.from, world.to, terms).unwrap().measure(&refs);
        for ((strategy, found), measured) in all.iter().zip(found).zip(measured) {
            let alone = run(strategy, &panel, world.from, world.to, &terms);
            match (found, alone) {
                (Ok(found), Ok(track)) => {
                    let alone = Results::of(&track, &panel, world.from, world.to, &terms);
                    assert_eq!(found.performance, alone.performance, "seed {seed}: {strategy}");
                    let hedged: Vec<f64> = alone.days.iter().map(|day| day.hedged).collect();
                    assert_eq!(found.daily_returns, hedged, "seed {seed}: {strategy}");
                    let measured = measured.unwrap();
                    assert_eq!(measured.outcome, found, "seed {seed}: {strategy}");
                    assert_eq!(measured.hedged, alone.figures.hedged, "seed {seed}: {strategy}");
                    let day = |stay: &portfolio::Stay, ms: i64| (ms..ms + DAY_MS).contains(&stay.entry_time_ms);
                    let on = |ms| alone.stays.iter().filter(|stay| day(stay, ms)).count() as u32;
                    let entered: Vec<u32> = alone.days.iter().map(|of| on(of.day_ms)).collect();
                    assert_eq!(measured.entered, entered, "seed {seed}: {strategy}");
                    entries += entered.iter().sum::<u32>();
                    compared += 1;
                    traded += u32::from(alone.performance.total_trades > 0);
                }
                (found, alone) => assert_eq!(found.err(), alone.err(), "seed {seed}: {strategy}"),
            }
        }
    }
    assert!(
        compared > 400 && traded * 2 > compared && entries > traded,
        "{traded} of {compared} traded, {entries} stays"
    );
}

#[test]
fn what_cannot_be_evaluated_says_why_and_spoils_nothing() {
    let rng = &mut rng(5);
    let world = worlds::world(rng, false);
    let panel = Panel::new(world.market, Timeframe::H4, world.tickers, &world.table).unwrap();
    let terms = PortfolioTerms::default();
    let text = |timeframe: &str, score: &str| {
        let text = format!(
            "{timeframe}; universe top 5 by quote_volume(3d), listed 1d; score {score}; rebalance 1d; weights linear; \
             gross 1"
        );
        text.parse::<Ranking>().unwrap()
    };
    let all = [
        text("4h", "close / delay(close, 3)"),
        text("1h", "close / delay(close, 3)"),
        text("4h", "volume / mean(volume, 9)"),
    ];
    let refs: Vec<&Ranking> = all.iter().collect();
    let market = Market::new(&panel, world.from, world.to, terms).unwrap();
    let found = market.evaluate(&refs);
    assert!(found[0].is_ok() && found[2].is_ok());
    let why = found[1].as_ref().unwrap_err().to_string();
    assert!(why.contains("1h") && why.contains("4h"), "{why}");
    assert_eq!(market.evaluate(&refs), found, "what an earlier population left changes nothing");
    assert!(market.evaluate(&[]).is_empty());
    assert!(matches!(Market::new(&panel, 5, 5, terms), Err(RunError::EmptyWindow)));
}
