//! Daily returns in the form in which strategies are told apart. Never decides how much alike is too much.

use serde::{Deserialize, Serialize};

/// Daily returns less their mean, scaled to length 1: the product of two is their correlation. In single precision,
/// which is enough to tell likeness and halves the stored state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Profile(Vec<f32>);

impl Profile {
    /// Of daily returns; `None` without variance.
    #[must_use]
    pub fn of(daily_returns: &[f64]) -> Option<Self> {
        let mean = daily_returns.iter().sum::<f64>() / daily_returns.len() as f64;
        let length = daily_returns.iter().map(|r| (r - mean).powi(2)).sum::<f64>().sqrt();
        let unit = (length > 0.0 && length.is_finite()).then_some(length)?;
        Some(Self(daily_returns.iter().map(|r| ((r - mean) / unit) as f32).collect()))
    }

    /// Correlation of two strategies' daily returns; `None` where they cover different numbers of days.
    #[must_use]
    pub fn correlation(&self, other: &Self) -> Option<f64> {
        let pairs = self.0.iter().zip(&other.0);
        (self.0.len() == other.0.len()).then(|| pairs.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum())
    }
}

/// Eight hex digits a day: an array of numbers would take twice the room in the stored state.
impl From<Profile> for String {
    fn from(profile: Profile) -> Self {
        profile.0.iter().map(|value| format!("{:08x}", value.to_bits())).collect()
    }
}
impl From<String> for Profile {
    fn from(text: String) -> Self {
        let bits = text.as_bytes().chunks(8).filter_map(|c| u32::from_str_radix(std::str::from_utf8(c).ok()?, 16).ok());
        Self(bits.map(f32::from_bits).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_multiply_to_correlations() {
        let profile = |returns: &[f64]| Profile::of(returns).unwrap();
        let up = profile(&[0.01, 0.02, 0.03, 0.02]);
        assert!((up.correlation(&profile(&[0.1, 0.2, 0.3, 0.2])).unwrap() - 1.0).abs() < 1e-6);
        assert!((up.correlation(&profile(&[-0.1, -0.2, -0.3, -0.2])).unwrap() + 1.0).abs() < 1e-6);
        assert_eq!(up.correlation(&profile(&[0.1, 0.2])), None);
        assert_eq!((Profile::of(&[0.1, 0.1]), Profile::of(&[]), Profile::of(&[f64::NAN])), (None, None, None));
        let stored = serde_json::to_string(&up).unwrap();
        assert_eq!(serde_json::from_str::<Profile>(&stored).unwrap(), up);
    }
}
