//! What a book is made of agrees with its days, whatever computes it, and names that are delisted under it end nothing else.

use crate::worlds::{START_MS, Settings, panel};
use book::{Walk, Walker};
use candles::time::DAY_MS;
use genome::random::Seed;

const FROM_MS: i64 = START_MS + 182 * DAY_MS;

#[test]
fn parts_add_up_to_what_the_days_say_and_delisted_names_are_sold() {
    let (settings, panel) = (Settings::small(), panel(3, 300, 4.0));
    let mut walker = Walker::new(settings.pipeline(), &panel, Walk::endless(Seed(5), FROM_MS)).unwrap();
    assert_eq!(walker.insight(FROM_MS).unwrap(), None, "nothing is traded yet");
    // Three months, the last of which is not over.
    let until_ms = FROM_MS + 80 * DAY_MS;
    while walker.freeze().unwrap() || walker.trade(until_ms).unwrap() {
        if walker.walk().open().is_some_and(|open| open.days.last().unwrap().day_ms + DAY_MS == until_ms) {
            break;
        }
    }
    let life_ms = FROM_MS + 50 * DAY_MS;
    let told = walker.insight(life_ms).unwrap().unwrap();
    assert_eq!((told.until_ms, told.block.end_ms), (until_ms, until_ms));
    let days: Vec<_> = walker.walk().days().copied().collect();
    let grown = days.iter().fold(1.0, |equity, day| equity * (1.0 + day.net)) - 1.0;
    let close = |a: f64, b: f64| (a - b).abs() < 1e-4;
    assert!(grown.abs() > 1e-3 && close(told.all.long + told.all.short, grown), "{:?} {grown}", told.all);
    let named: f64 = told.all.names.iter().map(|n| n.total).sum();
    assert!(close(named + told.all.others.1, grown), "{named} {grown}");
    let life = told.life.clone().unwrap();
    assert_eq!(life.from_ms, life_ms);
    assert!(!life.names.is_empty() && life.names.iter().all(|n| close(n.long + n.short, n.total)));

    assert_eq!(
        told.days.iter().map(|d| d.day_ms).collect::<Vec<_>>(),
        days.iter().map(|d| d.day_ms).collect::<Vec<_>>()
    );
    assert!(told.days.iter().all(|d| d.net.abs() <= d.gross + 1e-9 && d.turnover >= 0.0));
    assert!(told.days.iter().any(|d| d.gross > 0.1 && d.turnover > 0.0));
    let block = walker.walk().open().unwrap();
    let traded: f64 = told.days.iter().filter(|d| d.day_ms >= block.block.begin_ms).map(|d| d.turnover).sum();
    assert!(close(traded, block.turnover), "{traded} {}", block.turnover);

    assert_eq!(told.members.len(), block.members.len());
    for (i, (m, member)) in told.members.iter().zip(&block.members).enumerate() {
        assert_eq!((&m.hash, m.weight), (&member.strategy.hash().to_string(), member.weight));
        assert!(close(m.contribution, m.weight * m.hedged));
        assert_eq!(told.correlations[i][i], Some(1.0));
        for (k, row) in told.correlations.iter().enumerate() {
            assert_eq!(row[i], told.correlations[i][k]);
        }
    }
    // Before its life there is none to tell of.
    assert_eq!(walker.insight(until_ms).unwrap().unwrap().life, None);

    // Names that ended while the walk held others: the account goes on, and nothing is held of them at its end.
    let last_ms = |i: &portfolio::PanelInstrument| panel.opens_ms()[i.slots().last().copied().unwrap() as usize];
    let ended = panel.instruments().iter().filter(|i| (FROM_MS..until_ms - DAY_MS).contains(&last_ms(i))).count();
    assert!(ended > 0, "the market has no name that ends in the walk");
    assert!(days.iter().all(|day| day.net.is_finite() && day.net > -1.0));
}
