//! Families of near-duplicates: items whose embeddings point the same way are one idea, told again.
//!
//! The first of a family stands for it; the next ones are compared with that one alone, so that families do not grow into
//! each other. Items of other dimensions, and those without embeddings, are families by themselves.

use crate::{Item, features::norm};
use std::collections::BTreeMap;

/// Cosine of two signatures from which on two items are near-duplicates.
pub const NEAR_DUPLICATE_COSINE: f32 = 0.98;

/// Where the embeddings of an item point: the mean of their unit vectors, as a unit vector.
#[derive(Clone, Debug, PartialEq)]
pub struct Signature(Vec<f32>);

impl Signature {
    /// That of an item; `None` without embeddings, or where they point nowhere.
    #[must_use]
    pub fn of(item: &Item) -> Option<Self> {
        let mut mean = vec![0.0; item.embeddings.first()?.len()];
        for embedding in &item.embeddings {
            let norm = norm(embedding);
            if norm > 0.0 {
                mean.iter_mut().zip(embedding).for_each(|(sum, x)| *sum += x / norm);
            }
        }
        // What is left of vectors that cancel each other is noise of rounding.
        let norm = norm(&mean);
        let points = norm > 1e-9 * item.embeddings.len() as f64;
        points.then(|| Self(mean.iter().map(|x| (x / norm) as f32).collect()))
    }

    /// As it was stored.
    #[must_use]
    pub const fn stored(numbers: Vec<f32>) -> Self {
        Self(numbers)
    }

    /// Its numbers, to store.
    #[must_use]
    pub fn numbers(&self) -> &[f32] {
        &self.0
    }

    fn cosine(&self, other: &Self) -> f32 {
        // Eight sums side by side: the processor adds them at once.
        let mut sums = [0.0_f32; 8];
        let (a, b) = (self.0.chunks_exact(8), other.0.chunks_exact(8));
        let rest: f32 = a.remainder().iter().zip(b.remainder()).map(|(x, y)| x * y).sum();
        for (a, b) in a.zip(b) {
            for k in 0..8 {
                sums[k] += a[k] * b[k];
            }
        }
        sums.iter().sum::<f32>() + rest
    }
}

/// The family that an item of a batch belongs to.
#[derive(Clone, Debug, PartialEq)]
pub enum FamilyChoice {
    /// One that is known.
    Known(i64),
    /// A new one, which the item stands for.
    New(Option<Signature>),
    /// That of the item at this place of the batch, before it.
    Beside(usize),
}

/// The families that are known, by what stands for each.
#[derive(Clone, Debug, Default)]
pub struct Families {
    by_dim: BTreeMap<usize, Vec<(i64, Signature)>>,
    newest: i64,
}

impl Families {
    /// Adds a family, in the order of ids.
    pub fn add(&mut self, id: i64, signature: Option<Signature>) {
        self.newest = self.newest.max(id);
        if let Some(signature) = signature {
            self.by_dim.entry(signature.0.len()).or_default().push((id, signature));
        }
    }

    /// The newest family that was added; 0 before the first.
    #[must_use]
    pub const fn newest(&self) -> i64 {
        self.newest
    }

    /// The first family that is near enough; `None` where the item begins one of its own.
    #[must_use]
    pub fn of(&self, signature: &Signature) -> Option<i64> {
        let alike = self.by_dim.get(&signature.0.len())?;
        alike.iter().find(|(_, known)| known.cosine(signature) >= NEAR_DUPLICATE_COSINE).map(|(id, _)| *id)
    }

    /// The families of a batch, in order: the first known one that is near enough, else the first new one of the batch.
    #[must_use]
    pub fn choose(&self, batch: &[Option<Signature>]) -> Vec<FamilyChoice> {
        let mut new: Vec<(usize, &Signature)> = Vec::new();
        let mut chosen = Vec::with_capacity(batch.len());
        for (k, signature) in batch.iter().enumerate() {
            let of = |signature| self.of(signature).map(FamilyChoice::Known);
            let near = |known: &Signature, signature: &Signature| {
                known.0.len() == signature.0.len() && known.cosine(signature) >= NEAR_DUPLICATE_COSINE
            };
            let beside = |signature| new.iter().find(|(_, known)| near(known, signature)).map(|(k, _)| *k);
            chosen.push(match signature {
                None => FamilyChoice::New(None),
                Some(one) => match of(one).or_else(|| beside(one).map(FamilyChoice::Beside)) {
                    Some(known) => known,
                    None => {
                        new.push((k, one));
                        FamilyChoice::New(Some(one.clone()))
                    }
                },
            });
        }
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(embeddings: &[&[f64]]) -> Item {
        Item { embeddings: embeddings.iter().map(|e| e.to_vec()).collect(), ..Item::default() }
    }

    #[test]
    fn near_duplicates_are_one_family_and_the_first_stands_for_it() {
        let mut families = Families::default();
        let of = |x: f64, y: f64| Signature::of(&item(&[&[x, y, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.5]])).unwrap();
        assert_eq!(families.of(&of(1.0, 0.0)), None);
        families.add(1, Some(of(1.0, 0.0)));
        families.add(2, None);
        assert_eq!(families.newest(), 2);
        // Length does not matter, direction does; what is near to a near one is not near by that.
        assert_eq!(families.of(&of(1.0, 0.1)), Some(1));
        assert_eq!(families.of(&of(1.0, 0.3)), None);
        assert_eq!(families.of(&of(-1.0, 0.0)), None);
        let shorter = Signature::of(&item(&[&[1.0, 0.0]])).unwrap();
        assert_eq!(families.of(&shorter), None);
        // In a batch those that are new are families for what comes after them.
        let (near, far) = (Some(of(1.0, 0.05)), Some(of(0.0, 1.0)));
        let batch = [far.clone(), near, Some(of(0.1, 1.0)), None, Some(shorter.clone())];
        let chosen = families.choose(&batch);
        let expected =
            [FamilyChoice::New(far), FamilyChoice::Known(1), FamilyChoice::Beside(0), FamilyChoice::New(None)];
        assert_eq!(chosen[..4], expected);
        assert_eq!(chosen[4], FamilyChoice::New(Some(shorter)));
    }

    #[test]
    fn what_points_nowhere_has_no_signature() {
        assert_eq!(Signature::of(&Item::default()), None);
        assert_eq!(Signature::of(&item(&[&[0.0, 0.0]])), None);
        assert_eq!(Signature::of(&item(&[&[0.3, 0.1], &[-0.3, -0.1]])), None);
        let one = Signature::of(&item(&[&[3e-200, 4e-200], &[0.0, 0.0]])).unwrap();
        assert!((one.numbers()[0] - 0.6).abs() < 1e-7 && (one.numbers()[1] - 0.8).abs() < 1e-7);
        assert_eq!(Signature::stored(one.numbers().to_vec()), one);
    }
}
