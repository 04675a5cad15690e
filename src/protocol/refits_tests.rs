//! Models of null markets: those of the whole null market, know nothing where nothing is, travel whole, and are asked by null
//! searches.

use super::ranking_tests::panel;
use super::*;
use candles::{CandleSeries, Interval, MarketKind, MarketReadings, Readings, Symbol, time::DAY_MS};
use engine::{Engine, SymbolWindow, Terms, Window};
use genome::{AnyStrategy, ModelSeries, OfferedModel, Timeframe, random::Seed};
use models::{Beside, Examples, ModelCandles, ModelFile, RefitModel, Refits, Walk};
use portfolio::{Panel, PortfolioTerms};
use search::SearchConfig;
use simulated::{MarketSpec, SimulatedMarket};
use std::sync::Arc;

const START_MS: i64 = 1_704_067_200_000;
const FIRST_MS: i64 = START_MS + 200 * DAY_MS;
const FROM_MS: i64 = FIRST_MS + 10 * DAY_MS;
const TO_MS: i64 = FROM_MS + 60 * DAY_MS;

fn model(name: &str, target: &str, features: &str) -> ModelFile {
    let text = format!(
        "timeframe = \"4h\"\nsymbols = [\"*USDT\"]\ntarget = \"{target}\"\nhorizon_candles = 6\nfeatures = [{features}]\n\
         train_days = 150\nrefit_days = 20\nvolatility_candles = 42\n[fit]\nkind = \"logistic\"\n"
    );
    ModelFile::parse(name, &text).unwrap()
}

fn symbols() -> Vec<Symbol> {
    ["BTCUSDT", "ETHUSDT"].map(|s| s.parse().unwrap()).to_vec()
}

/// Candles of both symbols from the beginning, at an interval.
fn candles(of: Interval, to_ms: i64) -> Vec<CandleSeries> {
    let market = SimulatedMarket::new(MarketSpec::noise(Seed(5), START_MS, &symbols())).unwrap();
    symbols().iter().map(|s| market.candles(s, of, START_MS, to_ms).unwrap()).collect()
}

fn window(of: Interval, first_ms: i64) -> Window {
    let one = |(symbol, candles): (&Symbol, CandleSeries)| SymbolWindow {
        market: MarketKind::Spot,
        symbol: symbol.clone(),
        candles: Arc::new(candles.slice(first_ms, TO_MS)),
        finer: Vec::new(),
        funding: Arc::from([]),
        readings: Arc::default(),
        across: Arc::default(),
    };
    let both = symbols();
    Window::new(FROM_MS, TO_MS, both.iter().zip(candles(of, TO_MS)).map(one).collect()).unwrap()
}

fn refits(together: Option<Timeframe>) -> Refits {
    let members: Vec<String> = symbols().iter().map(ToString::to_string).collect();
    let file = model("line", "direction", "\"roc(1)\", \"rsi(14)\", \"volume_zscore(20)\"");
    let beside = members.iter().zip(candles(Interval::H4, TO_MS));
    let beside =
        beside.map(|(name, candles)| Beside { name: name.clone(), candles, readings: Arc::default() }).collect();
    let members = members.into_iter().map(|name| (name, None)).collect();
    Refits { models: vec![RefitModel { file, network: None, members }], together, beside }
}

fn probability(window: &Window, symbol: usize) -> Readings {
    window.symbols()[symbol].readings.models[&ModelSeries::Probability("line".parse().unwrap())].clone()
}

#[test]
fn what_lies_before_a_null_window_is_part_of_the_same_null_market() {
    let (seed, refits) = (Seed(9), refits(None));
    let null = null_window(&window(Interval::H4, FIRST_MS), seed, 0).unwrap();
    let beside = window_beside(&null, &null_refits(&refits, seed).unwrap()).unwrap();
    // The same moves are mirrored, for they are drawn by time: all of it as one market says the same, but for the price it has.
    let whole = null_window(&window(Interval::H4, START_MS), seed, 0).unwrap();
    let nothing = MarketReadings::default();
    let names: Vec<String> = symbols().iter().map(ToString::to_string).collect();
    let given: Vec<ModelCandles<'_>> = whole
        .symbols()
        .iter()
        .zip(&names)
        .map(|(s, name)| ModelCandles { name, candles: &s.candles, readings: &nothing, members: None })
        .collect();
    let file = &refits.models[0].file;
    let examples = Examples::new(file, &given).unwrap();
    let kind = file.kind(None).unwrap();
    let all = Walk { file, kind: &*kind, examples: &examples }.predict(None).unwrap();
    for (number, name) in names.iter().enumerate() {
        let found = probability(&beside, number);
        let wanted: Vec<_> = all.of(name).iter().filter(|p| p.at_ms > FIRST_MS).collect();
        // The join is a candle without a gap before it.
        assert!(found.len() > 350 && found.len() == wanted.len(), "{} {}", found.len(), wanted.len());
        for ((at_ms, value), point) in found.times_ms().iter().zip(found.values()).zip(wanted) {
            assert_eq!(*at_ms, point.at_ms);
            assert!((value - point.probability).abs() < 2e-3, "{name} {at_ms}: {value}, {}", point.probability);
        }
    }
    let real = window_beside(&window(Interval::H4, FIRST_MS), &refits).unwrap();
    assert!(probability(&real, 0) != probability(&beside, 0));
}

#[test]
fn on_finer_candles_models_look_at_what_these_add_up_to() {
    let real = |of: Interval| window_beside(&window(of, FIRST_MS), &refits(None)).unwrap();
    // Real candles of an hour add up to those of four.
    let (fine, coarse) = (real(Interval::H1), real(Interval::H4));
    let (fine, coarse_said) = (probability(&fine, 1), probability(&coarse, 1));
    assert!(fine.times_ms() == coarse_said.times_ms() && fine.len() > 350);
    // Volumes are summed in another order.
    assert!(fine.values().iter().zip(coarse_said.values()).all(|(a, b)| (a - b).abs() < 1e-9));
    // What models say of a null market on finer candles is made of that market's.
    let null = null_window(&window(Interval::H1, FIRST_MS), Seed(2), 1).unwrap();
    let beside = window_beside(&null, &null_refits(&refits(None), Seed(2)).unwrap()).unwrap();
    assert!(probability(&beside, 0).len() > 350);
    assert!(probability(&beside, 0) != probability(&coarse, 0));
}

#[test]
fn models_together_are_told_of_null_markets_too() {
    let null = null_window(&window(Interval::H4, FIRST_MS), Seed(3), 0).unwrap();
    let beside = window_beside(&null, &null_refits(&refits(Some(Timeframe::H4)), Seed(3)).unwrap()).unwrap();
    let of = &beside.symbols()[0].readings.models;
    assert_eq!(of.len(), 4);
    assert!(of[&ModelSeries::EnsembleDirection].len() > 350);
    assert!(of[&ModelSeries::EnsembleConfidence].values().iter().all(|v| (0.0..1.0).contains(v)));
}

/// By how much the mean probability of names that did better than half of the others in the next day is above that of the rest.
fn knows(panel: &Panel) -> f64 {
    let series = ModelSeries::Probability("best".parse().unwrap());
    let mut sums = [(0.0, 0); 2];
    let returns =
        |i: &portfolio::PanelInstrument, at: usize| Some(i.candles().closes().get(at + 6)? / i.candles().closes()[at]);
    let slots = panel.instruments()[0].candles().len();
    for at in 600..slots - 6 {
        let mut all: Vec<f64> = panel.instruments().iter().filter_map(|i| returns(i, at)).collect();
        all.sort_by(f64::total_cmp);
        let middle = all[all.len() / 2];
        for i in panel.instruments() {
            let close_ms = i.candles().close_time_ms(at) + 1;
            let said = i.readings().models[&series].newest_at(close_ms).filter(|(known_ms, _)| *known_ms == close_ms);
            if let (Some((_, p)), Some(r)) = (said, returns(i, at)) {
                let side = &mut sums[usize::from(r >= middle)];
                *side = (side.0 + p, side.1 + 1);
            }
        }
    }
    sums[1].0 / f64::from(sums[1].1) - sums[0].0 / f64::from(sums[0].1)
}

fn panel_refits(panel: &Panel) -> Refits {
    let members: Vec<String> = panel.instruments().iter().map(|i| i.id().to_string()).collect();
    let of = |i: &portfolio::PanelInstrument| Beside {
        name: i.id().to_string(),
        candles: i.candles().clone(),
        readings: Arc::default(),
    };
    let file = model("best", "rank", "\"roc(6)\", \"roc(1)\"");
    let file = ModelFile::parse("best", &file.text().replace("market = \"spot\"", "market = \"um\"")).unwrap();
    let beside = panel.instruments().iter().map(of).collect();
    let members = members.into_iter().map(|name| (name, None)).collect();
    Refits { models: vec![RefitModel { file, network: None, members }], together: None, beside }
}

#[test]
fn what_models_know_of_a_market_is_gone_from_its_null_markets() {
    // A name that did better in a day tends to do so in the next one.
    let market = panel(1, 0.02);
    let refits = panel_refits(&market);
    let real = knows(&panel_beside(&market, &refits).unwrap());
    assert!(real > 0.03, "{real}");
    let universe = genome::Universe { top: 12, volume_days: 5, listed_days: 5 };
    for kind in [NullKind::Time, NullKind::Mirrored, NullKind::Names { block_ms: 4 * 3_600_000, universe }] {
        let null = null_panel(&market, kind, Seed(4)).unwrap();
        let found = knows(&panel_beside(&null, &null_refits(&refits, Seed(4)).unwrap()).unwrap());
        assert!(found.abs() < real / 6.0, "{kind:?}: {found}, {real} on the real market");
    }
}

fn search(mut search: SearchConfig) -> NullSearch {
    (search.population_size, search.generations, search.min_trades) = (60, 3, 5);
    NullSearch { search, seed: Seed(7), candidates: 3, learnt: None }
}

#[test]
fn null_searches_ask_models_wherever_they_are_made() {
    let offered =
        |name: &str| OfferedModel { series: format!("model({name})").parse().unwrap(), timeframe: Timeframe::H4 };
    let mut config = SearchConfig::default();
    (config.variation.timeframes, config.variation.models) = (vec![Timeframe::H4], vec![offered("line")]);
    let task = search(config);
    let cut = |from_ms: i64, to_ms: i64| {
        let all = window_beside(&window(Interval::H4, FIRST_MS), &refits(None)).unwrap();
        let until = |s: &SymbolWindow| {
            let candles = Arc::new(s.candles.slice(i64::MIN, to_ms));
            let models = s.readings.models.iter().map(|(series, of)| (*series, of.until(to_ms))).collect();
            let readings = Arc::new(MarketReadings { models, ..MarketReadings::default() });
            SymbolWindow { candles, readings, ..s.clone() }
        };
        Window::new(from_ms, to_ms, all.symbols().iter().map(until).collect())
    };
    let split_ms = TO_MS - 15 * DAY_MS;
    let whole = Arc::new(refits(None));
    let split = Split::cut(cut, FROM_MS, split_ms, TO_MS).unwrap().with_models(Some(&whole));
    // Nothing from after the split goes along.
    let beside = &split.searchable.refits().unwrap().beside;
    assert!(beside.iter().all(|of| of.candles.last_close_time_ms().is_some_and(|close_ms| close_ms < split_ms)));
    let halves = RulesHalves::new(split, Arc::new(Engine::default()), Terms::default());
    let packed = PackedGround::read(&halves.packed().unwrap(), Arc::new(Engine::default())).unwrap();
    for number in 0..2 {
        let here = task.run(&*halves.ground().unwrap(), number, &|_| false).unwrap();
        assert!(here.best.is_some());
        assert_eq!(task.run(&*packed.ground(), number, &|_| false).unwrap(), here);
    }
    let ground = halves.ground().unwrap();
    let asks: AnyStrategy =
        "4h; long when model(line) > 0.45 exit when model(line) < 0.45".parse::<genome::Strategy>().unwrap().into();
    for market in [Some(0), Some(1), None] {
        let found =
            ground.compared(Seed(7), market).unwrap().evaluate(std::slice::from_ref(&asks)).pop().unwrap().unwrap();
        assert!(found.performance.total_trades > 5, "{market:?}: {}", found.performance.total_trades);
    }

    let market = panel(2, 0.01);
    let refits = Arc::new(panel_refits(&market));
    let mut config = SearchConfig { form: genome::StrategyForm::Ranking, ..SearchConfig::default() };
    config.ranking.models = vec![offered("best")];
    config.ranking.universe_top = vec![12];
    (config.ranking.universe_volume_days, config.ranking.universe_listed_days) = (5, 5);
    config.ranking.lookback_days = (1, 10);
    let real = panel_beside(&market, &refits).unwrap();
    let (from_ms, split_ms, to_ms) = (200 * DAY_MS, 600 * DAY_MS, 700 * DAY_MS);
    let split = SplitPanel::cut(&real, from_ms, split_ms, to_ms).unwrap().with_models(Some(&refits));
    let halves = RankingHalves::new(split, PortfolioTerms::default(), config.ranking.clone());
    let packed = PackedGround::read(&halves.packed().unwrap(), Arc::new(Engine::default())).unwrap();
    let task = search(config);
    for number in 0..2 {
        let here = task.run(&*halves.ground().unwrap(), number, &|_| false).unwrap();
        assert!(here.best.is_some());
        assert_eq!(task.run(&*packed.ground(), number, &|_| false).unwrap(), here);
    }
}
