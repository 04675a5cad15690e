//! Targets of a strategy that are followed on another account, beside the strategy itself, on random markets and terms.

use crate::worlds::{self, rng};
use genome::{Number, Timeframe};
use portfolio::{Execution, Panel, PortfolioTerms, RunError, follow, run};
use rand::RngExt;

#[test]
fn followed_targets_trade_to_the_bit_as_the_strategy_that_set_them() {
    let (mut compared, mut traded) = (0, 0);
    for seed in 0..200 {
        let rng = &mut rng(9_000 + seed);
        let ties = rng.random_bool(0.25);
        let world = worlds::world(rng, ties);
        let (strategy, terms) = (worlds::strategy(rng, ties), worlds::terms(rng));
        // Limits of gross are left out: targets that were scaled to one are scaled again, which differs in the last digit.
        let execution = Execution { greatest_gross: 0.0, greatest_one_sided_gross: 0.0, ..terms.execution };
        let terms = PortfolioTerms { execution, ..terms };
        let Ok(panel) = Panel::new(world.market, Timeframe::H4, world.tickers, &world.table) else { continue };
        let Ok(alone) = run(&strategy, &panel, world.from, world.to, &terms) else { continue };
        // Who may be sold short is asked of the strategy's own universe there and of the benchmark's here.
        if execution.borrowable_members > 0 {
            continue;
        }
        let band = strategy.weights.band.map_or(0.0, Number::get);
        let followed = follow(&alone.rebalances, &panel, (world.from, world.to), band, &terms).unwrap();
        assert_eq!(followed.slots, alone.slots, "seed {seed}: {strategy}");
        assert_eq!((&followed.closed, &followed.open), (&alone.closed, &alone.open), "seed {seed}: {strategy}");
        assert_eq!((followed.gains, followed.lapsed), (alone.gains, alone.lapsed), "seed {seed}: {strategy}");
        compared += 1;
        traded += usize::from(alone.turnover > 0.0);
        assert_eq!(
            follow(&alone.rebalances, &panel, (world.to, world.from), band, &terms).unwrap_err(),
            RunError::EmptyWindow
        );
    }
    assert!(compared > 50 && traded > 40, "{compared} compared, {traded} traded");
}
