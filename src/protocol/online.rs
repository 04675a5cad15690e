//! The online procedure: how much of the allowed error each candidate of each session may use up, over the daemon's
//! whole life.
//!
//! A candidate goes live only when its e-value reaches 1 / level. Its level, fixed when its session ends, is
//!
//! ```text
//! alpha (R + 1) w [ c1 (q / p0) gamma(s) + c2 q gamma(s') + c3 gamma(s) ]
//! ```
//!
//! with s the number of this session among all sessions ever, s' its number among those whose search beat its null
//! searches, R the promotions so far, w the candidate's weight in its session (harmonic in its rank, summing to 1),
//! q = 1 when its p-value is at most p0 and 0 otherwise, c = (0.4, 0.1, 0.5), and gamma summing to 1 over 1, 2, 3...
//!
//! **Why it holds.** The false share among promotions is at most the sum over null candidates of 1{E >= 1/level} /
//! (promotions or 1), and whoever is promoted stands beside the R that were there before, so each term is at most
//! level E / (R + 1). Its expectation, in three parts: q / p0 is an e-value of the search window (a p-value is at most
//! p0 with a chance of at most p0), E is one of what came after, given the search window; so their product has a
//! mean of at most 1, and the parts add up to c1 alpha over all s. Sessions are counted in s' by what their search
//! window says alone, so E has a mean of at most 1 given that, which bounds the second part by c2 alpha; the third by
//! c3 alpha. Together the false discovery rate is at most alpha, at every moment, under any dependence between
//! candidates and sessions: this is e-LOND with weights that are known before what they weigh.
//!
//! The first part rests on the null markets being exchangeable with the real one; the other two do not. If it fails
//! altogether (q always 1), the rate is at most alpha (c1 / p0 + c2 + c3), 8.6 alpha with p0 = 0.05.
//!
//! Source: Xu and Ramdas, Online multiple testing with e-values (AISTATS 2024).

/// What the procedure counts, over all islands and all time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbers {
    /// Number of the session among all that ended, from 1.
    pub session: u64,
    /// Its number among those whose search beat its null searches, from 1; that of the next such one otherwise.
    pub selected: u64,
    /// Promotions to live before it.
    pub promotions: u64,
}

impl Numbers {
    /// The very first session.
    pub const FIRST: Self = Self { session: 1, selected: 1, promotions: 0 };
}

const SHARES: [f64; 3] = [0.4, 0.1, 0.5];
/// Sum over n >= 2 of 1 / (n ln^2 n), rounded up.
const NORM: f64 = 2.109_743;

/// 1 / (2.109743 (n + 1) ln^2 (n + 1)): sums to 1 over n = 1, 2, ..., and falls hardly faster than 1 / n.
#[must_use]
fn gamma(n: u64) -> f64 {
    let m = n.max(1) as f64 + 1.0;
    1.0 / (NORM * m * m.ln().powi(2))
}

/// Level of a session's candidate number `rank` (from 0) of at most `candidates`.
#[must_use]
pub fn level(alpha: f64, numbers: Numbers, max_p: f64, p_value: Option<f64>, rank: usize, candidates: usize) -> f64 {
    let harmonic: f64 = (1..=candidates.max(rank + 1)).map(|k| 1.0 / k as f64).sum();
    let weight = 1.0 / ((rank + 1) as f64 * harmonic);
    let q = f64::from(u8::from(max_p > 0.0 && p_value.is_some_and(|p| p <= max_p)));
    let searched = if q > 0.0 { SHARES[0] / max_p } else { 0.0 };
    let share = (searched + SHARES[2]) * gamma(numbers.session) + q * SHARES[1] * gamma(numbers.selected);
    // More than the whole error is nobody's to give.
    (alpha * (numbers.promotions + 1) as f64 * weight * share).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_out_sums_to_less_than_all() {
        let sum: f64 = (1..2_000_000).map(gamma).sum();
        // The rest of the series is about 1 / (2.1 ln 2e6).
        assert!(sum < 1.0 && sum + 1.0 / (NORM * 2e6_f64.ln()) > 0.999_99, "{sum}");
        let life = |p: Option<f64>| -> f64 {
            (1..5_000)
                .flat_map(|s| (0..10).map(move |rank| (s, rank)))
                .map(|(s, rank)| level(0.05, Numbers { session: s, selected: s, promotions: 0 }, 0.05, p, rank, 10))
                .sum()
        };
        assert!(life(None) < 0.05 * 0.5);
        assert!(life(Some(0.05)) < 0.05 * 8.6);
    }

    #[test]
    fn by_hand() {
        let first = level(0.05, Numbers::FIRST, 0.05, Some(0.05), 0, 1);
        let gamma_1 = 1.0 / (NORM * 2.0 * 2.0_f64.ln().powi(2));
        assert!((first - 0.05 * gamma_1 * 8.6).abs() < 1e-12);
        let alone = level(0.05, Numbers::FIRST, 0.05, Some(0.1), 0, 1);
        assert!((alone - 0.05 * gamma_1 * 0.5).abs() < 1e-12);
        assert_eq!(level(0.05, Numbers::FIRST, 0.05, None, 0, 1), alone);
        let second = level(0.05, Numbers::FIRST, 0.05, Some(0.05), 1, 2);
        assert!((second - first / 3.0).abs() < 1e-12);
        let after = Numbers { promotions: 1, ..Numbers::FIRST };
        assert!((level(0.05, after, 0.05, Some(0.05), 0, 1) - 2.0 * first).abs() < 1e-12);
    }
}
