//! Which protocol two neighbours speak.
//!
//! Does: pick the highest version that both know, and the features that both have. Does not: read
//! frames. In: two ranges. Out: a version, or a reason that names both ranges.
//! Rule: a release speaks its own version and the one before, so neighbours one version apart
//! always find one (promise P15).

use serde::{Deserialize, Serialize};

/// What this release speaks.
pub const PROTOCOL: VersionRange = VersionRange { min: 1, max: 1 };

/// Optional abilities of this release.
pub const FEATURES: Features = Features(0);

/// Protocol versions that a node speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct VersionRange {
    /// Lowest.
    pub min: u16,
    /// Highest, at least `min`.
    pub max: u16,
}

/// No version that both speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "no common protocol version: this node speaks {}–{}, the neighbour {}–{}; upgrade the older \
     of the two, one release at a time", ours.min, ours.max, theirs.min, theirs.max
)]
pub struct Incompatible {
    /// Of this node.
    pub ours: VersionRange,
    /// Of the neighbour.
    pub theirs: VersionRange,
}

impl VersionRange {
    /// The highest version that both speak.
    ///
    /// # Errors
    /// [`Incompatible`] where there is none, or `theirs` is upside down.
    pub fn agree(self, theirs: Self) -> Result<u16, Incompatible> {
        let highest = self.max.min(theirs.max);
        let lowest = self.min.max(theirs.min);
        if highest < lowest || theirs.max < theirs.min {
            return Err(Incompatible { ours: self, theirs });
        }
        Ok(highest)
    }
}

/// Bits of abilities. Unknown bits are carried in Hello and dropped in Welcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Features(pub u64);

impl Features {
    /// What both have.
    #[must_use]
    pub fn common(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether every bit of `wanted` is set.
    #[must_use]
    pub fn has(self, wanted: Self) -> bool {
        self.0 & wanted.0 == wanted.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(min: u16, max: u16) -> VersionRange {
        VersionRange { min, max }
    }

    #[test]
    fn neighbours_one_version_apart_agree_and_others_are_told_both_ranges() {
        let rows = [
            ("the same", range(1, 1), range(1, 1), Some(1)),
            ("newer above", range(2, 3), range(1, 2), Some(2)),
            ("older above", range(1, 2), range(2, 3), Some(2)),
            ("both wide", range(1, 9), range(2, 8), Some(8)),
            ("two apart", range(3, 4), range(1, 2), None),
            ("upside down", range(1, 4), range(3, 2), None),
        ];
        for (name, ours, theirs, expected) in rows {
            assert_eq!(ours.agree(theirs).ok(), expected, "{name}");
        }
        let error = range(3, 4).agree(range(1, 2)).unwrap_err().to_string();
        assert!(error.contains("3–4") && error.contains("1–2"), "{error}");
    }

    #[test]
    fn only_features_of_both_are_used() {
        let both = Features(0b0110).common(Features(0b1100));
        assert_eq!(both, Features(0b0100));
        assert!(both.has(Features(0b0100)) && !both.has(Features(0b0110)));
    }
}
