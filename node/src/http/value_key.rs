//! Where a page of `/v1/values` ends: the name of its last series.
//!
//! Does: order values by resource, plugin and series; read and write that place as text.
//! Does not: render values (`sample_view`). In: records, `after`. Out: keys, `next`.
//! Invariant: a key names a series, not a number in a list, so that values that come and go between
//! two pages neither repeat nor skip any other.

use std::fmt;

use ocelli_bus::decoder::{Record, ResolvedHead};
use ocelli_model::resource::ResourceId;

use super::ApiError;

/// Between the parts; no part but the last may hold it.
const SEPARATOR: char = '|';

/// A place in the order of values.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ValueKey {
    resource: Option<ResourceId>,
    plugin: String,
    series: String,
}

impl ValueKey {
    /// Of a series of the record's pair.
    pub(super) fn of(record: &Record, series: String) -> Self {
        Self {
            resource: record.resource.as_ref().map(|found| found.id().clone()),
            plugin: record.plugin.as_deref().unwrap_or_default().to_owned(),
            series,
        }
    }

    /// Reads the `next` of a page.
    ///
    /// # Errors
    /// 400 for any other text.
    pub(super) fn parse(text: &str) -> Result<Self, ApiError> {
        let mut parts = text.splitn(3, SEPARATOR);
        let mut part = || parts.next().filter(|part| !part.is_empty());
        let key = part().and_then(|resource| {
            let (plugin, series) = (part()?, part()?);
            Some(Self {
                resource: Some(resource.parse().ok()?),
                plugin: plugin.to_owned(),
                series: series.to_owned(),
            })
        });
        key.ok_or_else(|| {
            let message = format!("after is {text:?}, which is no place in the list");
            ApiError::bad_request(&message, "pass the next of the page before")
        })
    }

    /// Whether a batch of this pair may hold what comes behind the key.
    pub(super) fn may_precede(&self, head: &ResolvedHead) -> bool {
        let resource = head.resource.as_ref().map(|found| found.id());
        let own = (self.resource.as_ref(), self.plugin.as_str());
        own <= (resource, head.plugin.as_deref().unwrap_or_default())
    }
}

impl fmt::Display for ValueKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let resource = self.resource.as_ref().map_or("", ResourceId::as_str);
        let (plugin, series) = (&self.plugin, &self.series);
        write!(
            formatter,
            "{resource}{SEPARATOR}{plugin}{SEPARATOR}{series}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_comes_back_from_its_text_and_other_texts_are_refused() {
        let text = "dc1/network/switch/generic/a%2Fb|interfaces|g|{\"n\":\"x|y\"}|bits_in|gauge";
        let key = ValueKey::parse(text).ok().unwrap();
        assert_eq!(key.to_string(), text);
        assert_eq!(key.series, "g|{\"n\":\"x|y\"}|bits_in|gauge");
        for wrong in [
            "",
            "2",
            "a|b|c",
            "dc1/network/switch/generic/a|b",
            "dc1/n/s/g/a||c",
        ] {
            assert!(ValueKey::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn values_are_in_the_order_of_resource_plugin_and_series() {
        let key = |text: &str| ValueKey::parse(text).ok().unwrap();
        let all = [
            "dc1/n/s/g/a|p|x",
            "dc1/n/s/g/a|p|y",
            "dc1/n/s/g/a|q|a",
            "dc1/n/s/g/b|a|a",
        ];
        let all = all.map(key);
        assert!(all.is_sorted(), "{all:?}");
    }
}
