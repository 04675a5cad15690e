//! Who becomes a member: the greatest shrunken expectation first, within limits of likeness, family, number and turnover.
//! Looks at no candle.

use crate::{
    BookConfig, Weighing,
    weighing::{correlation, weights},
};
use genome::{AnyStrategy, RankingNiche, StrategyHash};
use serde::{Deserialize, Serialize};

/// A strategy that a search evaluated, and what it is expected to earn.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The strategy.
    pub strategy: AnyStrategy,
    /// Its identity.
    pub hash: StrategyHash,
    /// Hedged daily returns in the window that was searched.
    pub returns: Vec<f64>,
    /// t of these.
    pub t: f64,
    /// Expected annual Sharpe ratio of hedged returns, after costs, shrunk.
    pub expected_sharpe: f64,
    /// Probability that there is no edge before costs.
    pub false_discovery: f64,
    /// Traded a day, of its equity, both sides; `None` where trading is free.
    pub turnover_per_day: Option<f64>,
}

/// A member of the book in a block.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// The strategy.
    pub strategy: AnyStrategy,
    /// Share of the book's equity that its targets are of.
    pub weight: f64,
    /// Its family.
    pub niche: String,
    /// t of its hedged daily returns in the window that was searched.
    pub t: f64,
    /// Expected annual Sharpe ratio of hedged returns, after costs, shrunk.
    pub expected_sharpe: f64,
    /// Probability that there is no edge before costs.
    pub false_discovery: f64,
    /// Traded a day, of its equity, both sides; `None` where trading is free.
    pub turnover_per_day: Option<f64>,
}

/// The greatest expectation first; equals in order of hash.
pub(crate) fn rank(candidates: &mut [Candidate]) {
    candidates.sort_by(|a, b| b.expected_sharpe.total_cmp(&a.expected_sharpe).then_with(|| a.hash.cmp(&b.hash)));
}

/// The members among ranked candidates.
pub(crate) fn admit(ranked: &[Candidate], config: &BookConfig) -> Vec<Member> {
    let mut chosen: Vec<(RankingNiche, &Candidate)> = Vec::new();
    for candidate in ranked {
        if chosen.len() >= config.most_members as usize || candidate.expected_sharpe < config.least_sharpe {
            break;
        }
        let Some(ranking) = candidate.strategy.ranking() else { continue };
        let niche = RankingNiche::of(ranking);
        let of_niche = chosen.iter().filter(|(other, _)| *other == niche).count();
        let alike = |(_, other): &(RankingNiche, &Candidate)| {
            correlation(&other.returns, &candidate.returns).is_none_or(|r| r > config.max_correlation)
        };
        let fits = candidate.false_discovery <= config.max_false_discovery
            && candidate.turnover_per_day.is_none_or(|turnover| turnover <= config.max_turnover_per_day)
            && of_niche < config.most_of_niche as usize;
        if fits && !chosen.iter().any(alike) {
            chosen.push((niche, candidate));
        }
    }
    let returns: Vec<&[f64]> = chosen.iter().map(|(_, c)| c.returns.as_slice()).collect();
    let expected: Vec<f64> = chosen.iter().map(|(_, c)| c.expected_sharpe).collect();
    let shares = weights(config.weighing, &returns, &expected);
    let member = |((niche, c), weight): ((RankingNiche, &Candidate), f64)| Member {
        strategy: c.strategy.clone(),
        weight,
        niche: niche.to_string(),
        t: c.t,
        expected_sharpe: c.expected_sharpe,
        false_discovery: c.false_discovery,
        turnover_per_day: c.turnover_per_day,
    };
    let members = chosen.into_iter().zip(shares).map(member);
    // Of those that are weighed by promise some may have nothing.
    members.filter(|m| m.weight > 0.0 || config.weighing == Weighing::EqualRisk).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A candidate whose returns follow a pattern of two signs.
    fn candidate(text: &str, pattern: u32, expected_sharpe: f64) -> Candidate {
        let strategy: AnyStrategy = text.parse().unwrap();
        let returns =
            (0..64_u32).map(|day| if (day & pattern).count_ones().is_multiple_of(2) { 0.01 } else { -0.01 }).collect();
        Candidate {
            hash: strategy.hash(),
            strategy,
            returns,
            t: 2.0,
            expected_sharpe,
            false_discovery: 0.1,
            turnover_per_day: Some(0.1),
        }
    }

    fn score(score: &str, clock: &str) -> String {
        format!(
            "4h; universe top 30 by quote_volume(30d), listed 60d; score {score}; rebalance {clock}; weights linear; gross 1"
        )
    }

    #[test]
    fn limits_are_kept() {
        let month = |n: u32| score(&format!("close / delay(close, {})", 60 + 6 * n), "1d");
        let mut all: Vec<Candidate> = (1..8).map(|n| candidate(&month(n), n, 3.0 - 0.1 * f64::from(n))).collect();
        all.push(candidate(&score("close / highest(high, 900)", "1w"), 1, 1.0));
        all.push(candidate(&score("close / highest(high, 910)", "1w"), 16, 0.9));
        all.push(candidate(&score("close / highest(high, 920)", "1w"), 32, 0.1));
        rank(&mut all);
        let config = BookConfig { most_of_niche: 3, ..BookConfig::default() };
        let found = admit(&all, &config);
        // Three of the family, then not the one that moves as the first does, nor the one that promises too little.
        let sharpes: Vec<f64> = found.iter().map(|m| (m.expected_sharpe * 10.0).round() / 10.0).collect();
        assert_eq!(sharpes, [2.9, 2.8, 2.7, 0.9]);
        assert!((found.iter().map(|m| m.weight).sum::<f64>() - 1.0).abs() < 1e-12);
        assert_eq!(admit(&all, &BookConfig { most_members: 2, ..config.clone() }).len(), 2);
        assert!(admit(&all, &BookConfig { max_false_discovery: 0.05, ..config.clone() }).is_empty());
        assert!(admit(&all, &BookConfig { max_turnover_per_day: 0.05, ..config }).is_empty());
    }
}
