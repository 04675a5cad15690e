//! Who is in a model's universe, candle by candle, as the language's clause means it. Looks at no candle that closes later.

use genome::Universe;
use portfolio::{Members, Panel};

/// Of each instrument of the panel, in its order: whether it is a member at each of its candles' closes.
pub(super) fn members(panel: &Panel, universe: Universe) -> Vec<Vec<bool>> {
    let mut out: Vec<Vec<bool>> = panel.instruments().iter().map(|i| vec![false; i.candles().len()]).collect();
    let slots = panel.opens_ms().len();
    let found = Members::of(panel, universe, 0..slots);
    for seat in (0..slots).flat_map(|slot| found.at(slot)) {
        out[seat.instrument as usize][seat.candle as usize] = true;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use candles::{Candle, CandleSeries, InstrumentTable, Interval, MarketKind, MarketReadings, Symbol, universe};
    use genome::random::Seed;
    use portfolio::Ticker;
    use rand::RngExt;

    const H4_MS: i64 = 4 * 3_600_000;

    /// Twelve symbols, listed one after another, whose volumes wander; one has a gap, one is a stablecoin.
    fn market() -> Vec<(Symbol, CandleSeries)> {
        let one = |number: usize| {
            let name = if number == 11 { "USDCUSDT".to_owned() } else { format!("S{number}USDT") };
            let mut rng = Seed(3).stream("market", number as u64);
            let mut series = CandleSeries::new(Interval::H4);
            let mut volume = 1000.0_f64;
            for i in number as i64 * 20..400 {
                volume *= rng.random_range(0.8..1.25);
                let open_time_ms = 1_546_300_800_000 + i * H4_MS;
                if number != 2 || !(100..130).contains(&i) {
                    let price = rng.random_range(90.0..110.0);
                    series
                        .push(&Candle {
                            open_time_ms,
                            open: price,
                            high: price,
                            low: price,
                            close: price,
                            volume,
                            close_time_ms: open_time_ms + H4_MS - 1,
                            quote_volume: volume * price,
                            trade_count: 1,
                            taker_buy_volume: 0.0,
                            taker_buy_quote_volume: 0.0,
                        })
                        .unwrap();
                }
            }
            (name.parse().unwrap(), series)
        };
        (0..12).map(one).collect()
    }

    fn panel(market: &[(Symbol, CandleSeries)], table: &InstrumentTable, end_ms: i64) -> Panel {
        let ticker = |(symbol, candles): &(Symbol, CandleSeries)| Ticker {
            symbol: symbol.clone(),
            candles: candles.slice(i64::MIN, end_ms - H4_MS + 1),
            funding: Vec::new(),
            readings: MarketReadings::default(),
        };
        let tickers = market.iter().map(ticker).filter(|t| !t.candles.is_empty()).collect();
        Panel::new(MarketKind::Spot, Interval::H4, tickers, table).unwrap()
    }

    #[test]
    fn members_are_those_of_the_verdicts_at_each_close_and_later_candles_change_none() {
        let (market, table) = (market(), InstrumentTable::default());
        let wanted: Universe = "top 4 by quote_volume(5d), listed 10d".parse().unwrap();
        let whole = panel(&market, &table, i64::MAX / 2);
        let all = members(&whole, wanted);
        let views: Vec<(&Symbol, &CandleSeries)> = market.iter().map(|(symbol, series)| (symbol, series)).collect();
        let mut seen = 0;
        for slot in (0..whole.opens_ms().len()).step_by(7) {
            let at_ms = whole.close_ms(slot);
            let cut = panel(&market, &table, at_ms);
            let known = members(&cut, wanted);
            for standing in universe::standings(&wanted, at_ms, &table, &views) {
                let of = |panel: &Panel, found: &[Vec<bool>]| {
                    let number = panel.instruments().iter().position(|i| *i.id() == standing.instrument).unwrap();
                    panel.instruments()[number].candle_in(slot).is_some_and(|candle| found[number][candle])
                };
                let is_member = matches!(standing.verdict, universe::Verdict::Member { .. });
                assert_eq!(of(&whole, &all), is_member, "{standing:?}");
                assert_eq!(of(&cut, &known), is_member, "{standing:?}");
                seen += usize::from(is_member);
            }
        }
        assert!(seen > 150, "{seen}");
    }
}
