//! Quality checks: what is found in spoilt candles, and nothing in good ones.

use crate::support::{APRIL_MS, QUARTER_MS, candle, provenance, run, symbol};
use candles::agreement::Agreement;
use candles::quality::{FindingKind, QualityPolicy, Severity, check_rows, check_series, gaps};
use candles::{
    Candle, CandleSeries, Interval, Judged, MarketKind, Symbol, Ticker, fit_for_evidence, market_fit_for_evidence,
};
use market::cache::CandleCache;
use market::verify::verify;
use proptest::prelude::*;

const M15: Interval = Interval::M15;

fn rows() -> Vec<Candle> {
    run(M15, APRIL_MS, 2_000, 1).candles().collect()
}

fn found(rows: &[Candle]) -> Vec<(FindingKind, Severity)> {
    let report = check_rows(M15, rows, &QualityPolicy::default());
    assert_eq!(report.fit_for_evidence(), report.findings.iter().all(|f| f.severity < Severity::Error));
    report.findings.iter().map(|f| (f.kind, f.severity)).collect()
}

#[test]
fn sound_candles_have_no_findings() {
    assert_eq!(found(&rows()), []);
    assert_eq!(found(&[]), []);
    let report = check_series(&run(M15, APRIL_MS, 10, 1), &QualityPolicy::default());
    assert_eq!((report.candles, report.expected, report.missing, report.worst()), (10, 10, 0, None));
}

/// What is done to sound candles, and what must be found then.
type Case = (fn(&mut Vec<Candle>), &'static [(FindingKind, Severity)]);

#[test]
fn each_kind_of_damage_is_found_as_what_it_is() {
    use FindingKind as K;
    use Severity::{Error, Note, Warning};
    let damaged = |damage: fn(&mut Vec<Candle>)| {
        let mut rows = rows();
        damage(&mut rows);
        found(&rows)
    };
    let cases: [Case; 11] = [
        (|r| drop(r.drain(100..110)), &[(K::Gap, Warning)]),
        (|r| drop(r.drain(100..200)), &[(K::Incomplete, Error), (K::Gap, Warning)]),
        (|r| r.insert(7, r[6]), &[(K::Duplicate, Error)]),
        (|r| r.swap(50, 51), &[(K::Gap, Warning), (K::Disorder, Error)]),
        (|r| r[9].open_time_ms += 7_000, &[(K::Gap, Warning), (K::OffGrid, Error)]),
        (|r| r[9].open_time_ms *= 1_000, &[(K::Gap, Warning), (K::TimeUnit, Error)]),
        (|r| r[9].open_time_ms /= 1_000, &[(K::TimeUnit, Error), (K::Gap, Warning)]),
        (|r| r[9].high = r[9].low - 1.0, &[(K::Gap, Warning), (K::Impossible, Error)]),
        (|r| r[9].volume = 0.0, &[(K::ZeroVolume, Note)]),
        (
            |r| {
                for c in &mut r[500..600] {
                    (c.open, c.high, c.low, c.close) = (100.0, 100.0, 100.0, 100.0);
                }
            },
            &[(K::StaleRun, Warning)],
        ),
        (
            |r| {
                for c in &mut r[1_000..] {
                    (c.open, c.high, c.low, c.close) = (c.open * 10.0, c.high * 10.0, c.low * 10.0, c.close * 10.0);
                }
            },
            &[(K::Jump, Error)],
        ),
    ];
    for (i, (damage, expected)) in cases.into_iter().enumerate() {
        assert_eq!(damaged(damage), expected, "case {i}");
    }
}

/// What a market does, however violent, is a warning; what only another unit of price or a wrong tick does is an error.
#[test]
fn breaks_are_errors_and_crashes_are_none() {
    use FindingKind as K;
    use Severity::{Error, Warning};
    let scale = |c: &mut Candle, by: f64| {
        (c.open, c.high, c.low, c.close) = (c.open * by, c.high * by, c.low * by, c.close * by);
    };
    let with = |damage: &dyn Fn(&mut Vec<Candle>)| {
        let mut rows = rows();
        damage(&mut rows);
        found(&rows)
    };
    // Half the price within one candle, or nine tenths on the way through one: traded at every price between.
    let crash = with(&|r| {
        for c in &mut r[1_000..] {
            scale(c, 0.1);
        }
        r[1_000].open = r[999].close;
        r[1_000].high = r[999].close;
    });
    assert_eq!(crash, [(K::Jump, Warning)]);
    // After a halt a market may open far away, but not in another unit.
    let halted = |by: f64| {
        with(&|r| {
            r[1_002..].iter_mut().for_each(|c| scale(c, by));
            r.drain(1_000..1_002);
        })
    };
    assert_eq!(halted(0.4), [(K::Gap, Warning), (K::Jump, Warning)]);
    for by in [100.0, 0.01, 10.0, 1_000.0] {
        assert_eq!(halted(by), [(K::Gap, Warning), (K::Jump, Error)], "1:{by}");
    }
    assert_eq!(with(&|r| r[700].high *= 50.0), [(K::Spike, Error)]);
    assert_eq!(with(&|r| r[700].low /= 50.0), [(K::Spike, Error)]);
    assert_eq!(with(&|r| r[700].low /= 3.0), [], "a wick that deep has been traded");
    // In a coarse candle the break lies inside.
    let inside = with(&|r| {
        r[1_000..].iter_mut().for_each(|c| scale(c, 100.0));
        r[1_000].open = r[999].close;
        r[1_000].low = r[999].close;
    });
    assert_eq!(inside, [(K::Jump, Error)]);
    let first = with(&|r| {
        r[0].open /= 30.0;
        r[0].low = r[0].open;
    });
    assert_eq!(first, [], "first trades on listing are far from everything");
}

#[test]
fn a_window_is_unfit_where_it_or_its_warm_up_crosses_a_break() {
    let mut rows = rows();
    for c in &mut rows[500..] {
        (c.open, c.high, c.low, c.close) = (c.open * 100.0, c.high * 100.0, c.low * 100.0, c.close * 100.0);
    }
    let at = |i: i64| APRIL_MS + i * QUARTER_MS;
    assert!(verdict(&rows, (at(0), at(500))).fit);
    for from in [0, 500, 900] {
        let judged = verdict(&rows, (at(from), at(2_000)));
        assert!(!judged.fit, "from candle {from}");
        assert!(judged.reason.contains("another unit of price"), "{}", judged.reason);
        assert_eq!(judged.symbols[0].errors, 1);
    }
    assert!(verdict(&rows[501..], (at(501), at(2_000))).fit, "nothing of it is loaded any more");
    // Hidden in the middle of a coarse candle it shows in the finer ones.
    let fine = CandleSeries::from_candles(M15, &rows).unwrap();
    let coarse = candles::resample::resample(&fine, Interval::D1).unwrap();
    let policy = QualityPolicy { max_range_ratio: 1e6, ..QualityPolicy::default() };
    let symbol = symbol("BTCUSDT");
    let judge = |finer| {
        let judged = Judged { symbol: &symbol, candles: &coarse, finer };
        let judged = fit_for_evidence(MarketKind::Spot, Interval::D1, (at(0), at(1_920)), [judged], &policy);
        (judged.fit, judged.symbols[0].errors)
    };
    assert_eq!((judge(None), judge(Some(&fine))), ((true, 0), (false, 1)));
}

#[test]
fn thresholds_decide_between_note_and_warning() {
    let mut rows = rows();
    rows.iter_mut().step_by(10).for_each(|c| c.volume = 0.0);
    assert_eq!(found(&rows), [(FindingKind::ZeroVolume, Severity::Warning)]);
}

#[test]
fn months_are_counted_by_the_calendar() {
    let all = run(Interval::Mo1, APRIL_MS, 24, 1);
    let kept: Vec<Candle> = all.candles().enumerate().filter(|(i, _)| !(3..8).contains(i)).map(|(_, c)| c).collect();
    let series = CandleSeries::from_candles(Interval::Mo1, &kept).unwrap();
    assert_eq!(gaps(&series).iter().map(|g| g.missing).collect::<Vec<_>>(), [5]);
}

#[tokio::test]
async fn stored_damage_is_found_and_the_rest_checked() {
    let dir = tempfile::tempdir().unwrap();
    let cache = CandleCache::open(dir.path()).unwrap();
    let series = run(M15, APRIL_MS, 9_000, 1);
    cache.merge(&Ticker::of(MarketKind::Um, &symbol("XUSDT")), &series, &provenance("x")).await.unwrap();
    let policy = QualityPolicy::default();
    let check = async || {
        verify(&cache, &cache.coverage().await.unwrap()[0], &policy, &candles::InstrumentTable::empty()).await.unwrap()
    };
    assert!(check().await.fit_for_evidence);

    // One bit of a price: only the hash over the content can tell.
    let path = dir.path().join("um/XUSDT/15m/2024-05.parquet");
    let whole = std::fs::read(&path).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    for bytes in [flipped, whole[..whole.len() - 100].to_vec(), b"<html>".to_vec(), Vec::new()] {
        std::fs::write(&path, bytes).unwrap();
        let found = check().await;
        assert!(!found.fit_for_evidence);
        assert_eq!(found.report.findings[0].kind, FindingKind::Damaged);
        assert!(found.report.findings[0].detail.contains("2024-05.parquet"), "{}", found.report.findings[0].detail);
        assert_eq!(found.report.candles, 9_000 - 2_976, "the other months are still checked");
    }
    std::fs::write(&path, whole).unwrap();
    assert!(check().await.fit_for_evidence);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// What is taken out is what is reported missing, and nothing else.
    #[test]
    fn missing_candles_add_up(keep in prop::collection::vec(any::<bool>(), 2..200)) {
        let mut kept = Vec::new();
        for (i, keep) in keep.iter().enumerate() {
            if *keep {
                kept.push(candle(M15, APRIL_MS + i as i64 * QUARTER_MS, 1));
            }
        }
        let report = check_rows(M15, &kept, &QualityPolicy::default());
        let span = kept.last().zip(kept.first()).map_or(0, |(b, a)| (b.open_time_ms - a.open_time_ms) / QUARTER_MS + 1);
        prop_assert_eq!(report.expected, span as u64);
        prop_assert_eq!(report.missing, span as u64 - kept.len() as u64);
    }

    #[test]
    fn no_row_panics_the_check(times in prop::collection::vec(any::<i64>(), 0..20), price in any::<f64>()) {
        for interval in Interval::ALL {
            let row = |t: &i64| Candle { open_time_ms: *t, close: price, volume: price, ..candle(M15, APRIL_MS, 1) };
            let rows: Vec<Candle> = times.iter().map(row).collect();
            let report = check_rows(interval, &rows, &QualityPolicy::default());
            prop_assert!(rows.is_empty() || report.candles == rows.len() as u64);
        }
    }
}

/// The window's verdict for one symbol's candles.
fn verdict(rows: &[Candle], (from_ms, to_ms): (i64, i64)) -> candles::DataVerdict {
    let series = CandleSeries::from_candles(M15, rows).unwrap();
    let symbol = symbol("BTCUSDT");
    let judged = Judged { symbol: &symbol, candles: &series, finer: None };
    fit_for_evidence(MarketKind::Spot, M15, (from_ms, to_ms), [judged], &QualityPolicy::default())
}

#[test]
fn a_window_is_judged_with_its_ends_and_says_why() {
    let rows = rows();
    let end_ms = APRIL_MS + 2_000 * QUARTER_MS;
    let sound = verdict(&rows, (APRIL_MS, end_ms));
    assert_eq!((sound.fit, sound.reason.as_str()), (true, "2000 of 2000 candles, no error, 0 warnings"));

    let late = verdict(&rows, (APRIL_MS - 100 * QUARTER_MS, end_ms));
    assert!(!late.fit);
    assert_eq!(
        late.reason, "spot BTCUSDT 15m: 100 of 2100 candles are missing",
        "what is missing before the first counts"
    );
    let early = verdict(&rows, (APRIL_MS, end_ms + 100 * QUARTER_MS));
    assert_eq!((early.fit, early.symbols[0].missing), (false, 100), "and after the last");
    assert!(verdict(&rows, (APRIL_MS - 30 * QUARTER_MS, end_ms)).fit, "a few do not spoil it");
    assert!(verdict(&rows[..100], (APRIL_MS, APRIL_MS + 100 * QUARTER_MS + 5)).fit, "ends off the grid");

    let nothing = verdict(&[], (APRIL_MS, end_ms));
    assert_eq!((nothing.fit, nothing.symbols[0].expected), (false, 2_000));
    let none = fit_for_evidence(MarketKind::Spot, M15, (APRIL_MS, end_ms), [], &QualityPolicy::default());
    assert!(!none.fit, "no symbol is no evidence");
}

#[test]
fn a_market_is_judged_by_its_symbols_between_their_first_and_last_candles() {
    let (rows, end_ms) = (rows(), APRIL_MS + 2_000 * QUARTER_MS);
    let whole = CandleSeries::from_candles(M15, &rows).unwrap();
    // One that is listed and delisted within, and one with a hole that is too large.
    let short = CandleSeries::from_candles(M15, &rows[300..900]).unwrap();
    let holed: Vec<Candle> = rows[..400].iter().chain(&rows[1_200..]).copied().collect();
    let holed = CandleSeries::from_candles(M15, &holed).unwrap();
    let before = CandleSeries::from_candles(M15, &rows[..50]).unwrap();
    let names: Vec<Symbol> = (0..13).map(|n| symbol(&format!("C{n:02}USDT"))).collect();
    let of = |unfit: usize, (from_ms, to_ms): (i64, i64)| {
        let judged = |(n, name)| {
            let candles = match n {
                0 => &short,
                n if n <= unfit => &holed,
                12 => &before,
                _ => &whole,
            };
            Judged { symbol: name, candles, finer: None }
        };
        let all = names.iter().enumerate().map(judged);
        market_fit_for_evidence(MarketKind::Spot, M15, (from_ms, to_ms), all, &QualityPolicy::default())
    };
    let (sound, window) = (of(0, (APRIL_MS, end_ms)), (APRIL_MS + 60 * QUARTER_MS, end_ms));
    assert!(sound.fit && sound.symbols[0].fit && sound.symbols[0].candles == 600, "{}", sound.reason);
    let one = of(1, window);
    assert_eq!((one.fit, one.symbols.len()), (true, 12), "one without a candle there is not looked at: {}", one.reason);
    assert!(one.reason.contains("of 12 symbols, 1 of them unfit, the first: C01USDT (800 of"), "{}", one.reason);
    assert!(!one.symbols[1].findings.is_empty() && one.symbols[2].findings.is_empty());
    assert!(!of(2, window).fit, "two of twelve are more than a tenth");
    let nobody = of(0, (end_ms + QUARTER_MS, end_ms + 10 * QUARTER_MS));
    assert_eq!((nobody.fit, nobody.reason.as_str()), (false, "there is no symbol to look at"));
}

#[test]
fn a_verdict_survives_its_json() {
    let rows = rows();
    let judged = verdict(&rows[..1_000], (APRIL_MS, APRIL_MS + 2_000 * QUARTER_MS));
    let text = serde_json::to_string(&judged).unwrap();
    assert_eq!(serde_json::from_str::<candles::DataVerdict>(&text).unwrap(), judged);
}

#[test]
fn intervals_that_tell_another_story_are_found() {
    let fine = run(Interval::M1, APRIL_MS, 15 * 400, 1);
    let coarse = candles::resample::resample(&fine, M15).unwrap();
    let policy = QualityPolicy { max_disagreeing_fraction: 0.01, ..QualityPolicy::default() };
    let compare = |damage: &dyn Fn(&mut Vec<Candle>)| {
        let mut rows: Vec<Candle> = coarse.candles().collect();
        damage(&mut rows);
        let mut agreement = Agreement::default();
        agreement.add(&fine, &CandleSeries::from_candles(M15, &rows).unwrap());
        (agreement.compared, agreement.disagreeing, agreement.findings(&policy))
    };
    assert_eq!(compare(&|_| {}), (400, 0, vec![]));
    let (_, one, findings) = compare(&|rows| rows[7].high += 1.0);
    assert_eq!((one, findings.len(), findings[0].severity), (1, 1, Severity::Warning));
    assert_eq!(findings[0].from_ms, APRIL_MS + 7 * QUARTER_MS);
    assert!(findings[0].detail.contains("high"), "{}", findings[0].detail);
    let (_, many, findings) = compare(&|rows| rows[..5].iter_mut().for_each(|c| c.volume *= 1.1));
    assert_eq!(many, 5);
    assert_eq!(findings.last().map(|f| (f.kind, f.severity)), Some((FindingKind::Disagreement, Severity::Error)));
    let (compared, none, _) = compare(&|rows| drop(rows.drain(..10)));
    assert_eq!((compared, none), (390, 0), "what is missing cannot disagree");
}

#[tokio::test]
async fn stored_intervals_are_held_against_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let cache = CandleCache::open(dir.path()).unwrap();
    let btc = symbol("BTCUSDT");
    let fine = run(Interval::M1, APRIL_MS, 60 * 24 * 40, 1);
    let mut hours: Vec<Candle> = candles::resample::resample(&fine, Interval::H1).unwrap().candles().collect();
    hours[800].close = hours[800].low;
    let hours = CandleSeries::from_candles(Interval::H1, &hours).unwrap();
    for series in [&fine, &hours] {
        cache.merge(&Ticker::of(MarketKind::Spot, &btc), series, &provenance("x")).await.unwrap();
    }
    let coverage = cache.coverage_of(&Ticker::of(MarketKind::Spot, &btc), Interval::H1).await.unwrap().unwrap();
    let check = verify(&cache, &coverage, &QualityPolicy::default(), &candles::InstrumentTable::empty()).await.unwrap();
    let found: Vec<_> = check.report.findings.iter().map(|f| (f.kind, f.severity, f.from_ms)).collect();
    let at_ms = APRIL_MS + 800 * 3_600_000;
    assert!(found.contains(&(FindingKind::Disagreement, Severity::Warning, at_ms)), "{found:?}");
    assert!(!check.fit_for_evidence, "one of 960 is more than a thousandth");
}
