//! The members that the engine trades are those that a universe is told to have, at every slot.

use crate::worlds::{rng, world};
use candles::universe::{Verdict, standings};
use candles::{CandleSeries, Interval, Symbol};
use genome::Universe;
use portfolio::{Members, Panel};
use rand::RngExt;

#[test]
fn the_engine_and_the_command_line_know_the_same_members() {
    let mut seats = 0;
    for seed in 0..300 {
        let dice = &mut rng(seed);
        let world = world(dice, seed % 2 == 0);
        let universe = Universe {
            top: dice.random_range(2..6),
            volume_days: dice.random_range(1..12),
            listed_days: dice.random_range(0..10),
        };
        let Ok(panel) = Panel::new(world.market, Interval::H4, world.tickers.clone(), &world.table) else { continue };
        let market: Vec<(&Symbol, &CandleSeries)> = world.tickers.iter().map(|t| (&t.symbol, &t.candles)).collect();
        let members = Members::of(&panel, universe, 0..panel.opens_ms().len());
        for slot in 0..panel.opens_ms().len() {
            let traded =
                members.at(slot).iter().map(|seat| panel.instruments()[seat.instrument as usize].id().to_string());
            let traded: Vec<String> = traded.collect();
            let told = standings(&universe, panel.close_ms(slot), &world.table, &market).into_iter();
            let told = told.filter(|s| matches!(s.verdict, Verdict::Member { .. })).map(|s| s.instrument.to_string());
            let mut told: Vec<String> = told.collect();
            told.sort_unstable();
            assert_eq!(traded, told, "seed {seed}, slot {slot}, {universe}");
            seats += told.len();
        }
    }
    assert!(seats > 10_000, "{seats}");
}
