//! The crate against the plain second implementation on random markets and strategies.

use crate::{
    plain::Plain,
    worlds::{self, rng},
};
use portfolio::{Panel, run};
use rand::RngExt;
use std::collections::BTreeMap;

/// `SG_PORTFOLIO_CASES` strategies; 1,500 where it is not set.
fn cases() -> u64 {
    std::env::var("SG_PORTFOLIO_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(1_500)
}

fn near(a: f64, b: f64, scale: f64) -> bool {
    (a - b).abs() <= 1e-9 * scale.max(1.0)
}

#[test]
fn both_implementations_agree_on_random_strategies() {
    let (mut compared, mut fragile, mut held) = (0_u64, 0_u64, 0_u64);
    for seed in 0..cases() {
        let rng = &mut rng(seed);
        let ties = rng.random_bool(0.25);
        let world = worlds::world(rng, ties);
        let (strategy, terms) = (worlds::strategy(rng, ties), worlds::terms(rng));
        let Ok(panel) = Panel::new(world.market, strategy.timeframe, world.tickers.clone(), &world.table) else {
            continue;
        };
        let track = run(&strategy, &panel, world.from, world.to, &terms).unwrap();
        let plain = Plain::new(world.market, &world.tickers, &world.table, &strategy, &terms);
        let expected = plain.run(world.from, world.to);
        if plain.fragile.get() {
            fragile += 1;
            continue;
        }
        compared += 1;
        held += u64::from(track.slots.iter().any(|s| s.names > 0));
        let told = || format!("seed {seed}, {strategy}, {terms:?}");
        assert_eq!(track.rebalances.len(), expected.targets.len(), "{}", told());
        for (found, (time_ms, targets)) in track.rebalances.iter().zip(&expected.targets) {
            assert_eq!(found.time_ms, *time_ms, "{}", told());
            let names: BTreeMap<String, f64> =
                found.targets.iter().map(|(i, w)| (panel.instruments()[*i as usize].id().to_string(), *w)).collect();
            let targets: BTreeMap<String, f64> = targets.iter().cloned().collect();
            let of = |all: &BTreeMap<String, f64>, name: &String| all.get(name).copied().unwrap_or(0.0);
            let same = names.keys().chain(targets.keys()).all(|n| near(of(&names, n), of(&targets, n), 1.0));
            assert!(same, "{}\nat {time_ms}: {names:?}\ninstead of {targets:?}", told());
        }
        assert_eq!(track.slots.len(), expected.equity.len(), "{}", told());
        for (found, (time_ms, equity)) in track.slots.iter().zip(&expected.equity) {
            let same = found.time_ms == *time_ms && near(found.equity, *equity, terms.initial_capital);
            assert!(same, "{}\nat {time_ms}: {} instead of {equity}", told(), found.equity);
        }
        assert!(near(track.turnover, expected.turnover, expected.turnover), "{}", told());
        let gained: f64 = track.gains.values().map(|g| g.long + g.short).sum();
        let last = track.slots.last().map_or(terms.initial_capital, |s| s.equity);
        let booked = near(gained, last - terms.initial_capital, terms.initial_capital);
        assert!(booked || track.liquidated_ms.is_some(), "{}: {gained} is not what was gained", told());
    }
    assert!(compared * 2 > fragile, "{fragile} of {} runs could not be compared", compared + fragile);
    assert!(held * 2 > compared, "only {held} of {compared} runs held anything");
    eprintln!("{compared} compared, {fragile} left out, {held} held something");
}
