//! Which meaning of the engine a result was computed by: what changed from one to the next, and whose results that concerns.
//!
//! A new build of the same meaning gives the same numbers. Computes no result.

use genome::{
    Distance, IndicatorKind as Kind, Operand, PriceField, Rule, Series, Size, Source, Strategy, TrendRegimeFilter,
};

/// One day, ms.
const DAY_MS: i64 = 86_400_000;

/// The engine's meaning now. Raised together with a row in [`MeaningChange::ALL`], whenever the same strategy on the same
/// candles comes to other numbers on purpose.
pub const MEANING: u32 = 2;

/// The meaning of results that were stored before meanings were numbered.
pub(super) const fn first() -> u32 {
    1
}

/// One thing that a strategy's results mean since some number and did not mean before.
#[derive(Clone, Copy)]
pub struct MeaningChange {
    /// The first meaning that has it.
    pub since: u32,
    /// What it is, for people: what goes after "engine meaning 2: ".
    pub what: &'static str,
    /// Whether it can change the result of a strategy in a window that begins then (UTC ms).
    concerns: fn(&Strategy, i64) -> bool,
}

impl MeaningChange {
    /// Every change, oldest first.
    pub const ALL: &[Self] = &[
        Self {
            since: 2,
            what: "a trailing percentage is of the best close since the entry",
            concerns: |strategy, _| matches!(strategy.risk.trailing_stop, Some(Distance::Percent(_))),
        },
        Self {
            since: 2,
            what: "a risk size counts fees and slippage",
            concerns: |strategy, _| matches!(strategy.risk.size, Size::Risk(_)),
        },
        Self {
            since: 2,
            what: "indicators compare and subtract prices exactly",
            concerns: |strategy, _| compares_prices(strategy),
        },
        Self {
            since: 2,
            what: "of finer candles the finest that cover a candle decide the order of stop and target",
            concerns: |strategy, _| {
                let risk = &strategy.risk;
                let stops = risk.stop_loss.is_some() || risk.trailing_stop.is_some() || risk.break_even.is_some();
                stops && (risk.take_profit.is_some() || risk.partial_take_profit.is_some())
            },
        },
        Self { since: 2, what: "statistics count whole days", concerns: |_, from_ms| from_ms.rem_euclid(DAY_MS) != 0 },
    ];

    /// What has changed since `meaning` for a strategy's result in a window that begins at `from_ms` (UTC ms): nothing
    /// where such a result still stands.
    #[must_use]
    pub fn since(meaning: u32, strategy: &Strategy, from_ms: i64) -> Vec<&'static str> {
        let concerning = Self::ALL.iter().filter(|c| c.since > meaning && (c.concerns)(strategy, from_ms));
        concerning.map(|change| change.what).collect()
    }
}

/// Whether something of it looks at a series whose sums or differences of prices were compared in binary.
fn compares_prices(strategy: &Strategy) -> bool {
    let mut found = strategy.filters.regime != TrendRegimeFilter::Any;
    let risk = &strategy.risk;
    let partial = risk.partial_take_profit.map(|partial| partial.at);
    let distances = [risk.stop_loss, risk.take_profit, risk.trailing_stop, risk.break_even, partial];
    found |= distances.iter().flatten().any(|distance| matches!(distance, Distance::Atr { .. }));
    let mut look = |rule: &Rule| {
        rule.for_each_condition(&mut |condition| {
            found |= is_of_sums(&condition.left);
            if let Operand::Series(right) = &condition.right {
                found |= is_of_sums(right);
            }
        });
    };
    for side in strategy.long.iter().chain(&strategy.short) {
        look(&side.entry);
        if let Some(exit) = &side.exit {
            look(exit);
        }
    }
    found
}

/// Whether a series is made of sums or differences of a candle's prices, which are in ticks since meaning 2.
fn is_of_sums(series: &Series) -> bool {
    let indicator = match &series.source {
        Source::Price(field) => return *field == PriceField::Typical,
        Source::Model(_) => return false,
        Source::Indicator(indicator) => indicator,
    };
    matches!(
        indicator.kind(),
        Kind::Atr
            | Kind::Natr
            | Kind::Adx
            | Kind::PlusDi
            | Kind::MinusDi
            | Kind::StochasticK
            | Kind::StochasticD
            | Kind::WilliamsR
            | Kind::DonchianMiddle
            | Kind::Vwap
            | Kind::SessionVwap
            | Kind::Cci
            | Kind::Mfi
            | Kind::KeltnerUpper
            | Kind::KeltnerLower
            | Kind::Supertrend
            | Kind::SupertrendDirection
            | Kind::IchimokuConversion
            | Kind::IchimokuBase
            | Kind::IchimokuSpanA
            | Kind::IchimokuSpanB
            | Kind::BullishOrderBlockHigh
            | Kind::BullishOrderBlockLow
            | Kind::BearishOrderBlockHigh
            | Kind::BearishOrderBlockLow
            | Kind::WyckoffSpring
            | Kind::WyckoffUpthrust
            | Kind::ParabolicSar
            | Kind::Choppiness
            | Kind::Regime
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strategy(entry: &str, risk: &str) -> Strategy {
        let text =
            format!(r#"{{"name": "a", "timeframe": "15m", "long": {{"entry": "{entry}"}}, "risk": {{{risk}}}}}"#);
        genome::StrategyFile::parse(&text).unwrap().strategy
    }

    #[test]
    fn each_change_concerns_those_that_have_what_it_changed() {
        let plain = "ema(5) crosses above ema(30)";
        let cases = [
            (plain, r#""stop_loss": "2%""#, 0, vec![]),
            (plain, r#""trailing_stop": "2%""#, 0, vec!["a trailing percentage is of the best close since the entry"]),
            (plain, r#""size_risk": 0.01, "stop_loss": "2%""#, 0, vec!["a risk size counts fees and slippage"]),
            ("mfi(14) < 20", r#""stop_loss": "2%""#, 0, vec!["indicators compare and subtract prices exactly"]),
            ("close > donchian_middle(20)", "", 0, vec!["indicators compare and subtract prices exactly"]),
            (plain, r#""trailing_stop": "2 atr(14)""#, 0, vec!["indicators compare and subtract prices exactly"]),
            (
                plain,
                r#""stop_loss": "2%", "take_profit": "3%""#,
                0,
                vec!["of finer candles the finest that cover a candle decide the order of stop and target"],
            ),
            (plain, r#""stop_loss": "2%""#, 3_600_000, vec!["statistics count whole days"]),
        ];
        for (entry, risk, from_ms, changed) in cases {
            let strategy = strategy(entry, risk);
            assert_eq!(MeaningChange::since(1, &strategy, from_ms), changed, "{entry} {risk}");
            assert!(MeaningChange::since(MEANING, &strategy, from_ms).is_empty(), "what is new is not changed");
        }
    }

    #[test]
    fn every_meaning_has_a_row() {
        let newest = MeaningChange::ALL.iter().map(|change| change.since).max();
        assert_eq!(newest, Some(MEANING));
        assert!(MeaningChange::ALL.is_sorted_by_key(|change| change.since) && first() < MEANING);
    }
}
