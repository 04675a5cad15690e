//! Versions of strategies: three numbers that rise from parents to children. Decides nothing about a strategy.
//!
//! The order and the way of raising are those of Semantic Versioning 2.0.0, items 2 and 6 to 8 and 11
//! (<https://semver.org>): whatever is to the right of the number that rises becomes 0.

use std::{fmt, str::FromStr};

/// `MAJOR.MINOR.PATCH`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// Rises when two strategies are crossed.
    pub major: u64,
    /// Rises when a strategy is mutated.
    pub minor: u64,
    /// Rises when nothing but numbers of a strategy are others.
    pub patch: u64,
}

/// How far a child is from its parents: which number of the version rises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionStep {
    /// Other numbers in the same rules: a refinement, a point of an optimisation.
    Patch,
    /// Other rules: a mutation.
    Minor,
    /// Rules of two strategies: a crossover.
    Major,
}

impl Version {
    /// The version of a strategy without stored parents.
    pub const FIRST: Self = Self { major: 1, minor: 0, patch: 0 };

    /// The version of a child of parents with these versions: the greatest of them, raised by the step;
    /// [`Version::FIRST`] where there are none. A number that can rise no further stays.
    #[must_use]
    pub fn of_child(parents: impl IntoIterator<Item = Self>, step: VersionStep) -> Self {
        let Some(Self { major, minor, patch }) = parents.into_iter().max() else { return Self::FIRST };
        match step {
            VersionStep::Patch => Self { major, minor, patch: patch.saturating_add(1) },
            VersionStep::Minor => Self { major, minor: minor.saturating_add(1), patch: 0 },
            VersionStep::Major => Self { major: major.saturating_add(1), minor: 0, patch: 0 },
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// A text that is no version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no version: three numbers are expected, such as 1.0.0")]
pub struct ParseVersionError(String);

impl FromStr for Version {
    type Err = ParseVersionError;

    fn from_str(text: &str) -> Result<Self, ParseVersionError> {
        let number = |part: &str| part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok()).flatten();
        let numbers: Option<Vec<u64>> = text.split('.').map(number).collect();
        match numbers.as_deref() {
            Some(&[major, minor, patch]) => Ok(Self { major, minor, patch }),
            _ => Err(ParseVersionError(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn version(text: &str) -> Version {
        text.parse().expect("a version of this test")
    }

    #[test]
    fn a_child_is_one_step_above_the_greatest_of_its_parents() {
        for (parents, step, expected) in [
            (&[][..], VersionStep::Patch, "1.0.0"),
            (&[], VersionStep::Major, "1.0.0"),
            (&["1.0.0"], VersionStep::Patch, "1.0.1"),
            (&["1.4.9"], VersionStep::Patch, "1.4.10"),
            (&["1.4.9"], VersionStep::Minor, "1.5.0"),
            (&["1.9.3", "1.10.2"], VersionStep::Major, "2.0.0"),
            (&["3.0.0", "2.99.99"], VersionStep::Major, "4.0.0"),
            // One of a crossover's parents may not be stored.
            (&["2.7.1"], VersionStep::Major, "3.0.0"),
            (&["0.0.0"], VersionStep::Patch, "0.0.1"),
        ] {
            let child = Version::of_child(parents.iter().map(|p| version(p)), step);
            assert_eq!(child.to_string(), expected, "{parents:?} by {step:?}");
        }
        let last = Version { major: u64::MAX, minor: u64::MAX, patch: u64::MAX };
        assert_eq!(Version::of_child([last], VersionStep::Patch), last);
        assert_eq!(version("18446744073709551615.18446744073709551615.18446744073709551615"), last);
    }

    #[test]
    fn what_is_no_version_is_refused_with_what_was_read() {
        for text in [
            "",
            "1",
            "1.0",
            "1.0.0.0",
            "1.0.x",
            "v1.0.0",
            "1..0",
            " 1.0.0",
            "+1.0.0",
            "-1.0.0",
            "1.0.0-rc",
            "18446744073709551616.0.0",
            "１.0.0",
        ] {
            let error = text.parse::<Version>().expect_err(text).to_string();
            assert!(error.contains(&format!("{text:?}")) && error.contains("1.0.0"), "{error}");
        }
    }

    proptest! {
        /// Against texts: numbers compared by their lengths, then digit by digit, as people compare them.
        #[test]
        fn children_stand_above_all_their_parents(
            parents in proptest::collection::vec((0_u64..1 << 40, 0_u64..1 << 40, 0_u64..1 << 40), 1..6),
            step in prop_oneof![Just(VersionStep::Patch), Just(VersionStep::Minor), Just(VersionStep::Major)],
        ) {
            let versions: Vec<Version> =
                parents.iter().map(|&(major, minor, patch)| Version { major, minor, patch }).collect();
            let child = Version::of_child(versions.iter().copied(), step);
            let padded = |v: &Version| {
                v.to_string().split('.').map(|part| format!("{part:0>20}")).collect::<Vec<_>>().join(".")
            };
            prop_assert!(versions.iter().all(|parent| padded(parent) < padded(&child)));
            prop_assert_eq!(child.to_string().parse::<Version>(), Ok(child));
            // Nothing of that step fits between: one less is not above the greatest.
            let before = match step {
                VersionStep::Patch => Version { patch: child.patch - 1, ..child },
                VersionStep::Minor => Version { minor: child.minor - 1, ..child },
                VersionStep::Major => Version { major: child.major - 1, ..child },
            };
            prop_assert!(versions.iter().any(|parent| padded(parent) >= padded(&before)));
        }
    }
}
