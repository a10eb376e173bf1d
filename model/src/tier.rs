//! The tiers of a mesh and their order.
//!
//! Does: name the three tiers and say which stands above which. Does not: know what a node of a
//! tier does (`actors`, `federation`).
//! In: the word of a configuration or certificate. Out: [`Tier`].

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Where in the mesh a node stands. Ordered: what gathers is greater than what is gathered.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// Polls devices.
    #[default]
    Site,
    /// Gathers sites.
    Region,
    /// Gathers regions.
    Global,
}

/// A word that names no tier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{word:?} is no tier; write \"site\", \"region\" or \"global\"")]
pub struct TierError {
    /// The first letters of the word.
    pub word: String,
}

impl Tier {
    /// All tiers, lowest first.
    pub const ALL: [Self; 3] = [Self::Site, Self::Region, Self::Global];

    /// The word as configurations, certificates and lists have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Site => "site",
            Self::Region => "region",
            Self::Global => "global",
        }
    }
}

impl FromStr for Tier {
    type Err = TierError;

    fn from_str(word: &str) -> Result<Self, TierError> {
        let is_meant = |tier: &Self| tier.as_str() == word;
        Self::ALL
            .into_iter()
            .find(is_meant)
            .ok_or_else(|| TierError {
                word: word.chars().take(32).collect(),
            })
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tier_is_read_back_from_its_word_and_other_words_are_refused() {
        for tier in Tier::ALL {
            assert_eq!(tier.to_string().parse(), Ok(tier));
            let json = serde_json::to_string(&tier).unwrap();
            assert_eq!(json, format!("\"{tier}\""));
        }
        for word in ["", "Site", "sites", "root"] {
            assert!(word.parse::<Tier>().is_err(), "{word}");
        }
    }

    #[test]
    fn a_tier_that_gathers_is_greater_than_what_it_gathers() {
        assert!(Tier::Site < Tier::Region && Tier::Region < Tier::Global);
    }
}
