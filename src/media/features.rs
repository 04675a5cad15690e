//! The features of an item: numbers that an existing client expects, each by its definition in docs/MEDIA.md.
//!
//! Sums are compensated (Neumaier), so that ten thousand terms cost no digits. Nothing undefined: what cannot be computed
//! is 0, as that client has it.

use crate::Item;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

macro_rules! features {
    ($($(#[$doc:meta])+ $name:ident: $type:ty),+ $(,)?) => {
        /// The features of an item. All of an empty one are 0, but for `timestamp` and `feature_count`.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct Features { $($(#[$doc])+ pub $name: $type),+ }

        /// Their names, in the order of [`Features::array`] and of the JSON object.
        pub const FEATURE_NAMES: &[&str] = &[$(stringify!($name)),+];

        impl Features {
            /// Their values, in the order of [`FEATURE_NAMES`].
            #[must_use]
            pub fn array(&self) -> Vec<f64> {
                vec![$(f64::from(self.$name)),+]
            }
        }
    };
}

features! {
    /// Hits of category `technical_indicator`, in any case.
    technical_indicator_count: u32,
    /// Hits of category `price_action`.
    price_action_count: u32,
    /// Hits of category `risk_management`.
    risk_management_count: u32,
    /// Hits of category `order_type`.
    order_type_count: u32,
    /// Distinct keywords, as they are written / hits.
    keyword_diversity: f64,
    /// Mean of the hits' confidence.
    avg_confidence: f64,
    /// Least confidence.
    min_confidence: f64,
    /// Greatest confidence.
    max_confidence: f64,
    /// Hits / (last start - first start + 1), per second; 0 with fewer than two hits.
    keyword_frequency: f64,
    /// Mean difference between starts in order of time, seconds; 0 with fewer than two hits.
    avg_time_between_keywords: f64,
    /// 1 if a keyword is `rsi`, in any case.
    has_rsi: u8,
    /// 1 if a keyword is `macd`.
    has_macd: u8,
    /// 1 if a keyword is `support` or `resistance`.
    has_support_resistance: u8,
    /// 1 if a keyword is `breakout`.
    has_breakout: u8,
    /// 1 if a keyword is `stop loss` or `stop-loss`.
    has_stop_loss: u8,
    /// Words of all segments, parted by white space.
    total_words: u32,
    /// Words / segments.
    avg_words_per_segment: f64,
    /// Segments.
    total_segments: u32,
    /// Words / (last end - first start) x 60; 0 with fewer than two segments, or without time between them.
    speaking_rate_wpm: f64,
    /// 1 if the text has `because`, `therefore`, `reason` or `due to`, in any case.
    has_explanation: u8,
    /// 1 if the text has `example`, `for instance` or `such as`.
    has_examples: u8,
    /// 1 if the text has `first`, `second`, `third` or `step`.
    has_steps: u8,
    /// Question marks / segments.
    question_density: f64,
    /// Numbers in an embedding.
    embedding_dim: u32,
    /// Mean of the embeddings' Euclidean norms.
    avg_embedding_norm: f64,
    /// Mean cosine of all pairs of embeddings, one of norm 0 having cosine 0 with all; 0 with fewer than two.
    avg_embedding_similarity: f64,
    /// 1 - `avg_embedding_similarity`; 0 with fewer than two embeddings.
    embedding_diversity: f64,
    /// When they were computed, Unix seconds.
    timestamp: f64,
    /// Features before this one.
    feature_count: u32,
}

/// A sum that keeps what each addition rounds away (Neumaier 1974).
#[derive(Clone, Copy, Default)]
struct Sum {
    sum: f64,
    lost: f64,
}

impl Sum {
    fn add(&mut self, x: f64) {
        let next = self.sum + x;
        self.lost += if self.sum.abs() >= x.abs() { (self.sum - next) + x } else { (x - next) + self.sum };
        self.sum = next;
    }

    fn value(self) -> f64 {
        self.sum + self.lost
    }

    fn of(values: impl IntoIterator<Item = f64>) -> f64 {
        let mut sum = Self::default();
        values.into_iter().for_each(|x| sum.add(x));
        sum.value()
    }
}

/// Counts of what [`crate::Limits`] bounds fit.
fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// 0 where there is nothing to divide by.
fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

/// The Euclidean norm, scaled so that it neither overflows nor loses small numbers.
pub(crate) fn norm(vector: &[f64]) -> f64 {
    let most = vector.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
    if most > 0.0 { most * Sum::of(vector.iter().map(|x| (x / most) * (x / most))).sqrt() } else { 0.0 }
}

/// Mean cosine over all pairs: of unit vectors u, (|sum u|^2 - sum |u|^2) / (n (n - 1)), in one pass.
fn mean_cosine(embeddings: &[Vec<f64>], norms: &[f64]) -> f64 {
    let n = embeddings.len();
    if n < 2 {
        return 0.0;
    }
    let mut total = vec![Sum::default(); embeddings[0].len()];
    let mut own = Sum::default();
    for (embedding, &norm) in embeddings.iter().zip(norms).filter(|(_, norm)| **norm > 0.0) {
        for (total, x) in total.iter_mut().zip(embedding) {
            let u = x / norm;
            total.add(u);
            own.add(u * u);
        }
    }
    let together = Sum::of(total.iter().map(|t| t.value() * t.value()));
    ((together - own.value()) / (n as f64 * (n as f64 - 1.0))).clamp(-1.0, 1.0)
}

/// Least and greatest; `None` without any.
fn span(values: impl Iterator<Item = f64> + Clone) -> Option<(f64, f64)> {
    let first = values.clone().next()?;
    Some(values.fold((first, first), |(least, most), x| (least.min(x), most.max(x))))
}

impl Features {
    /// The features of an item that was checked, as of this moment (Unix ms).
    #[must_use]
    pub fn of(item: &Item, now_ms: i64) -> Self {
        let mut f = Self { timestamp: now_ms as f64 / 1000.0, ..Self::default() };
        f.of_keywords(item);
        f.of_transcripts(item);
        f.of_embeddings(item);
        f.feature_count = count(FEATURE_NAMES.len() - 1);
        f
    }

    fn of_keywords(&mut self, item: &Item) {
        let hits = &item.keyword_hits;
        let of = |category: &str| count(hits.iter().filter(|h| h.category.eq_ignore_ascii_case(category)).count());
        self.technical_indicator_count = of("technical_indicator");
        self.price_action_count = of("price_action");
        self.risk_management_count = of("risk_management");
        self.order_type_count = of("order_type");
        let n = hits.len() as f64;
        let distinct: HashSet<&str> = hits.iter().map(|hit| hit.keyword.as_str()).collect();
        self.keyword_diversity = ratio(distinct.len() as f64, n);
        self.avg_confidence = ratio(Sum::of(hits.iter().map(|hit| hit.confidence)), n);
        (self.min_confidence, self.max_confidence) = span(hits.iter().map(|hit| hit.confidence)).unwrap_or_default();
        if hits.len() >= 2
            && let Some((first, last)) = span(hits.iter().map(|hit| hit.start_time))
        {
            self.keyword_frequency = n / (last - first + 1.0);
            // The differences between neighbours sum to that between the ends.
            self.avg_time_between_keywords = (last - first) / (n - 1.0);
        }
        let known: HashSet<String> = distinct.iter().map(|keyword| keyword.to_lowercase()).collect();
        let has = |words: &[&str]| u8::from(words.iter().any(|word| known.contains(*word)));
        self.has_rsi = has(&["rsi"]);
        self.has_macd = has(&["macd"]);
        self.has_support_resistance = has(&["support", "resistance"]);
        self.has_breakout = has(&["breakout"]);
        self.has_stop_loss = has(&["stop loss", "stop-loss"]);
    }

    fn of_transcripts(&mut self, item: &Item) {
        let segments = &item.transcripts;
        let n = segments.len() as f64;
        self.total_segments = count(segments.len());
        self.total_words = count(segments.iter().map(|s| s.text.split_whitespace().count()).sum());
        self.avg_words_per_segment = ratio(self.total_words.into(), n);
        let first = span(segments.iter().map(|s| s.start_time)).map(|(first, _)| first);
        let last = span(segments.iter().map(|s| s.end_time)).map(|(_, last)| last);
        if let (Some(first), Some(last), 2..) = (first, last, segments.len()) {
            self.speaking_rate_wpm = ratio(f64::from(self.total_words), last - first) * 60.0;
        }
        let text = segments.iter().map(|s| s.text.as_str()).collect::<Vec<_>>().join(" ").to_lowercase();
        let has = |parts: &[&str]| u8::from(parts.iter().any(|part| text.contains(part)));
        self.has_explanation = has(&["because", "therefore", "reason", "due to"]);
        self.has_examples = has(&["example", "for instance", "such as"]);
        self.has_steps = has(&["first", "second", "third", "step"]);
        self.question_density = ratio(text.matches('?').count() as f64, n);
    }

    fn of_embeddings(&mut self, item: &Item) {
        let embeddings = &item.embeddings;
        self.embedding_dim = count(embeddings.first().map_or(0, Vec::len));
        let norms: Vec<f64> = embeddings.iter().map(|embedding| norm(embedding)).collect();
        self.avg_embedding_norm = ratio(Sum::of(norms.iter().copied()), norms.len() as f64);
        if embeddings.len() >= 2 {
            self.avg_embedding_similarity = mean_cosine(embeddings, &norms);
            self.embedding_diversity = 1.0 - self.avg_embedding_similarity;
        }
    }
}
