//! Whole walks.

use crate::worlds::{START_MS, Settings, panel};
use book::{BlockNullFound, BlockNulls, BookError, Cash, Walk, Walker, Weighing};
use candles::time::DAY_MS;
use genome::random::Seed;
use portfolio::Panel;
use protocol::PackedGround;
use sha2::Digest as _;
use std::{collections::BTreeMap, sync::Arc};

/// 2020-07-01: 182 days of candles lie before.
const FROM_MS: i64 = START_MS + 182 * DAY_MS;
/// 2020-10-01.
const TO_MS: i64 = FROM_MS + 92 * DAY_MS;

fn walked(settings: &Settings, panel: &Panel, walk: Walk) -> Walk {
    let mut walker = Walker::new(settings.pipeline(), panel, walk).unwrap();
    while walker.advance().unwrap().is_some() {}
    walker.walk().clone()
}

fn bytes(walk: &Walk) -> Vec<u8> {
    Walk::to_bytes(std::slice::from_ref(walk), &BTreeMap::new())
}

fn with_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
}

#[test]
fn a_walk_is_the_same_bytes_on_any_number_of_threads_and_however_often_it_was_killed() {
    let (settings, panel) = (Settings::small(), panel(3, 300, 4.0));
    let fresh = || Walk::begin(Seed(5), FROM_MS, TO_MS).unwrap();
    let whole = with_threads(1, || bytes(&walked(&settings, &panel, fresh())));
    for threads in [2, 4] {
        assert_eq!(with_threads(threads, || bytes(&walked(&settings, &panel, fresh()))), whole, "{threads} threads");
    }
    // Killed after each block: nothing but what was stored goes on.
    let mut stored = bytes(&fresh());
    loop {
        let walk = Walk::from_bytes(&stored, &BTreeMap::new()).unwrap().pop().unwrap();
        if walk.is_finished() {
            break;
        }
        let mut walker = Walker::new(settings.pipeline(), &panel, walk).unwrap();
        walker.advance().unwrap();
        stored = bytes(walker.walk());
    }
    assert_eq!(stored, whole);
    let walk = Walk::from_bytes(&stored, &BTreeMap::new()).unwrap().pop().unwrap();
    let names: Vec<String> = walk.blocks().iter().map(|b| b.block.name()).collect();
    assert_eq!(names, ["2020-07", "2020-08", "2020-09"]);
    assert_eq!(walk.days().count(), 92);
    assert!(walk.blocks().iter().any(|b| !b.members.is_empty()), "{walk:?}");
    // Another seed is another walk.
    let other = walked(&settings, &panel, Walk::begin(Seed(6), FROM_MS, TO_MS).unwrap());
    assert_ne!(bytes(&other), whole);
}

#[test]
fn searches_of_a_block_that_are_made_elsewhere_in_any_order_come_to_the_same_walk() {
    let (settings, panel) = (Settings::small(), panel(3, 300, 4.0));
    let fresh = || Walk::begin(Seed(5), FROM_MS, TO_MS).unwrap();
    let whole = bytes(&walked(&settings, &panel, fresh()));
    let mut walker = Walker::new(settings.pipeline(), &panel, fresh()).unwrap();
    let never = |_| false;
    while let Some(search) = walker.block_search().unwrap() {
        // All that goes to another machine are these bytes.
        let (ground, told) = (search.packed().unwrap(), serde_json::to_string(search.nulls()).unwrap());
        let ground = PackedGround::read(&ground, Arc::default()).unwrap();
        let (searchable, terms) = ground.ranked().unwrap();
        let nulls: BlockNulls = serde_json::from_str(&told).unwrap();
        assert_eq!(&nulls, search.nulls());
        let mut found: Vec<BlockNullFound> = (0..nulls.count())
            .rev()
            .map(|number| {
                let found = nulls.run(searchable, terms, number, &never).unwrap().unwrap();
                serde_json::from_str(&serde_json::to_string(&found).unwrap()).unwrap()
            })
            .collect();
        found.reverse();
        assert!(nulls.run(searchable, terms, 0, &|_| true).unwrap().is_none(), "it can be stopped");
        let error = nulls.run(searchable, terms, nulls.count(), &never).unwrap_err();
        assert!(matches!(error, BookError::NoSuchNull { .. }), "{error}");
        // None missing, and none left out.
        assert!(matches!(walker.freeze_by(None), Err(BookError::NotSearched { .. })));
        let own = search.own(&never).unwrap().unwrap();
        let fewer = found[1..].to_vec();
        assert!(matches!(walker.freeze_by(Some((own.clone(), fewer))), Err(BookError::NotSearched { .. })));
        assert!(walker.freeze_by(Some((own, found))).unwrap());
        assert!(walker.block_search().unwrap().is_none(), "it is frozen");
        walker.trade(TO_MS).unwrap();
    }
    assert!(walker.walk().is_finished());
    assert_eq!(bytes(walker.walk()), whole);
}

/// Where this fails, the code comes to other numbers of the same settings and candles: that is another hypothesis. Count
/// [`book::VERSION`] up, and put the new digest here.
#[test]
fn another_version_is_another_hypothesis() {
    let (settings, panel) = (Settings::small(), panel(3, 230, 4.0));
    let walk = walked(&settings, &panel, Walk::begin(Seed(5), FROM_MS, FROM_MS + 31 * DAY_MS).unwrap());
    let digest = hex::encode(sha2::Sha256::digest(bytes(&walk)));
    assert_eq!((book::VERSION, &digest[..16]), (1, "3a30c543d2b63e25"));
}

#[test]
fn a_block_comes_to_the_same_day_by_day() {
    let (settings, panel) = (Settings::small(), panel(3, 300, 4.0));
    let whole = walked(&settings, &panel, Walk::begin(Seed(5), FROM_MS, FROM_MS + 62 * DAY_MS).unwrap());
    let mut parts = (Walk::endless(Seed(5), FROM_MS - 1), Vec::new());
    let mut frozen = 0;
    for days in 0..=62 {
        // As much of the market as there is by then, and whatever was stored.
        let known = panel.until(FROM_MS + days * DAY_MS).unwrap();
        let stored = Walk::from_bytes(&bytes(&parts.0), &BTreeMap::new()).unwrap().pop().unwrap();
        let mut walker = Walker::with(settings.pipeline(), &known, (stored, parts.1));
        frozen += i32::from(walker.freeze().unwrap());
        assert!(!walker.freeze().unwrap(), "once");
        assert_eq!(walker.trade(known.end_ms()).unwrap(), days > 0);
        assert!(!walker.trade(known.end_ms()).unwrap(), "nothing is traded twice");
        assert_eq!(walker.walk().days().count() as i64, days);
        // The last day of the first month ends it; the second is frozen at the next look.
        assert_eq!(walker.walk().blocks().len(), usize::from(days >= 31) + usize::from(days == 62));
        parts = walker.into_parts();
    }
    assert_eq!((frozen, parts.0.blocks()), (2, whole.blocks()));
    let again = Walker::new(settings.pipeline(), &panel, parts.0).unwrap();
    assert_eq!(again.into_parts().1, parts.1);
}

#[test]
fn nothing_of_a_block_or_after_it_shapes_its_book() {
    let settings = Settings::small();
    let long = panel(3, 300, 4.0);
    let short = long.until(FROM_MS + 31 * DAY_MS).unwrap();
    let first = |panel: &Panel, to_ms: i64| {
        let mut walker =
            Walker::new(settings.pipeline(), panel, Walk::begin(Seed(5), FROM_MS, to_ms).unwrap()).unwrap();
        walker.advance().unwrap().unwrap().clone()
    };
    // The same first block, members, days and all, whatever comes after it.
    assert_eq!(first(&long, TO_MS), first(&short, FROM_MS + 31 * DAY_MS));
}

#[test]
fn a_planted_edge_is_found_and_proven_and_noise_is_not() {
    let settings = Settings::small();
    let to_ms = FROM_MS + 367 * DAY_MS;
    let log_e = |seed: u64, sharpe: f64| {
        let panel = panel(seed, 550, sharpe);
        let walk = walked(&settings, &panel, Walk::begin(Seed(1), FROM_MS, to_ms).unwrap());
        let figures = walk.figures();
        assert_eq!(figures.blocks, 13);
        figures
    };
    let found = log_e(11, 8.0);
    assert!(found.hedged_sharpe.unwrap() > 2.0 && found.log_e.unwrap() > 3.0, "{found:?}");
    let noise = log_e(12, 0.0);
    assert!(noise.max_log_e < 2.0 && noise.hedged_sharpe.unwrap_or(0.0) < 1.5, "{noise:?}");
}

#[test]
fn members_are_weighed_otherwise_without_another_search() {
    let settings = Settings::small();
    assert_eq!(settings.book.weighing, Weighing::EqualRisk);
    let panel = panel(11, 330, 8.0);
    let walk = walked(&settings, &panel, Walk::begin(Seed(1), FROM_MS, FROM_MS + 123 * DAY_MS).unwrap());
    let walker = Walker::new(settings.pipeline(), &panel, walk.clone()).unwrap();
    let [equal, parity, variance] = Weighing::ALL.map(|weighing| walker.weighed(weighing).unwrap());
    let days = |walk: &Walk| walk.days().map(|day| day.net.to_bits()).collect::<Vec<_>>();
    assert_eq!(days(&equal), days(&walk), "the same weights are the same days, to the bit");
    for other in [&parity, &variance] {
        assert_ne!(days(other), days(&walk));
        assert_eq!(other.blocks().len(), walk.blocks().len());
        for (a, b) in other.blocks().iter().zip(walk.blocks()) {
            let names = |block: &book::Traded| block.members.iter().map(|m| m.strategy.hash()).collect::<Vec<_>>();
            assert_eq!(names(a), names(b));
            let sum: f64 = a.members.iter().map(|m| m.weight).sum();
            assert!(a.members.is_empty() || (sum - 1.0).abs() < 1e-9, "{sum}");
        }
    }
}

#[test]
fn a_book_without_members_holds_cash_and_says_why() {
    let mut settings = Settings::small();
    settings.book.least_sharpe = 50.0;
    let panel = panel(3, 250, 0.0);
    // From January on: first there is no history, then nothing that promises enough.
    let walk = walked(&settings, &panel, Walk::begin(Seed(5), START_MS, START_MS + 244 * DAY_MS).unwrap());
    let cash: Vec<Option<Cash>> = walk.blocks().iter().map(|b| b.cash).collect();
    let short = |days| Some(Cash::ShortHistory { days, needed: 90 });
    assert_eq!(cash[..4], [short(0), short(0), short(0), short(1)]);
    assert!(cash[7..].iter().all(|c| matches!(c, Some(Cash::NothingExpected { candidates: 1.. }))), "{cash:?}");
    assert!(cash[7].unwrap().to_string().contains("is expected to earn enough after costs"));
    assert!(walk.days().all(|day| day.net == 0.0));
    let figures = walk.figures();
    assert_eq!((figures.log_e, figures.max_log_e, figures.members_mean), (Some(0.0), 0.0, Some(0.0)));
    assert_eq!((figures.net_sharpe, figures.turnover_per_day), (None, Some(0.0)));
}

#[test]
fn what_cannot_be_walked_is_told() {
    let settings = Settings::small();
    let panel = panel(3, 200, 0.0);
    assert_eq!(Walk::begin(Seed(1), FROM_MS, FROM_MS + 30 * DAY_MS).unwrap_err(), BookError::NoBlock);
    let walk = Walk::begin(Seed(1), FROM_MS, FROM_MS + 62 * DAY_MS).unwrap();
    let error = Walker::new(settings.pipeline(), &panel, walk).unwrap_err();
    assert_eq!(error, BookError::Ends { missing_days: 44 });
}
