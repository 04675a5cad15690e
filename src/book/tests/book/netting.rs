//! Positions are netted before they cost anything, and followed targets trade as the strategy that set them.

use crate::worlds::{START_MS, panel};
use book::{Block, Member, net};
use candles::time::DAY_MS;
use genome::{AnyStrategy, Ranking};
use portfolio::{Market, PortfolioTerms, Rebalance, follow, run};

const FROM_MS: i64 = START_MS + 100 * DAY_MS;
const TO_MS: i64 = START_MS + 200 * DAY_MS;

fn ranking(score: &str, rest: &str) -> Ranking {
    let text =
        format!("4h; universe top 16 by quote_volume(20d), listed 30d; score {score}; rebalance {rest}; gross 1");
    text.parse::<AnyStrategy>().unwrap().ranking().unwrap().clone()
}

fn member(ranking: &Ranking, weight: f64) -> Member {
    Member {
        strategy: ranking.clone().into(),
        weight,
        niche: String::new(),
        t: 0.0,
        expected_sharpe: 0.0,
        false_discovery: 0.0,
        turnover_per_day: None,
    }
}

#[test]
fn followed_targets_trade_to_the_bit_as_the_strategy_that_set_them() {
    let panel = panel(1, 220, 0.0);
    for (rest, band) in [
        ("1d; weights linear", 0.0),
        ("12h; weights linear, smooth 3", 0.0),
        ("1w; weights top 30%, bottom 30%, band 2%", 0.02),
    ] {
        let strategy = ranking("close / delay(close, 42)", rest);
        for terms in [PortfolioTerms::default(), realistic()] {
            let alone = run(&strategy, &panel, FROM_MS, TO_MS, &terms).unwrap();
            let followed = follow(&alone.rebalances, &panel, (FROM_MS, TO_MS), band, &terms).unwrap();
            assert_eq!((&followed.slots, &followed.closed), (&alone.slots, &alone.closed), "{rest}");
            assert_eq!(followed.gains, alone.gains, "{rest}");
        }
    }
}

fn realistic() -> PortfolioTerms {
    // No limit that targets meet: scaled twice they would differ in the last digit, and who can be borrowed is asked of
    // another universe.
    let realistic = portfolio::Execution::realistic();
    let execution = portfolio::Execution { greatest_one_sided_gross: 0.0, borrowable_members: 0, ..realistic };
    PortfolioTerms { execution, ..PortfolioTerms::default() }
}

#[test]
fn members_that_hold_the_opposite_cost_nothing() {
    let panel = panel(1, 220, 0.0);
    let (up, down) = (
        ranking("close / delay(close, 42)", "1d; weights linear"),
        ranking("-(close / delay(close, 42))", "1d; weights linear"),
    );
    let terms = PortfolioTerms::default();
    let market = Market::new(&panel, FROM_MS - 50 * DAY_MS, TO_MS, terms).unwrap();
    let rebalances: Vec<Vec<Rebalance>> = market.targets(&[&up, &down]).into_iter().map(Result::unwrap).collect();
    let block = Block { begin_ms: FROM_MS, end_ms: TO_MS };
    let netted = net(&[member(&up, 0.5), member(&down, 0.5)], &rebalances, &panel, block);
    assert_eq!((netted[0].time_ms, netted.len()), (FROM_MS, 100));
    assert!(netted.iter().flat_map(|n| &n.targets).all(|(_, target)| target.abs() < 1e-12));
    // One of them alone is it itself, from the block's first moment on.
    let alone = net(&[member(&up, 1.0)], &rebalances[..1], &panel, block);
    let own = rebalances[0].iter().find(|r| r.time_ms == FROM_MS).unwrap();
    let of = |number: u32| panel.instruments()[number as usize].id().clone();
    assert_eq!(alone[0].targets, own.targets.iter().map(|(n, t)| (of(*n), *t)).collect::<Vec<_>>());
    // Halves add up.
    let halves =
        net(&[member(&up, 0.5), member(&up, 0.5)], &[rebalances[0].clone(), rebalances[0].clone()], &panel, block);
    assert_eq!(halves, alone);
    // Nobody wants nothing.
    let nobody = net(&[], &[], &panel, block);
    assert_eq!((nobody.len(), nobody[0].targets.len()), (1, 0));
}
