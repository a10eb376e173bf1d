//! For which sites an identity may speak.
//!
//! Does: write and read the scope URIs of a certificate, decide whether a site is in them. Does
//! not: look into blocks (`ingest`).
//! In: `ocelli-site:<percent-encoded resource_site>` or `ocelli-site:*`. Out: [`SiteScope`].

use std::collections::BTreeSet;
use std::fmt;

use super::name::shown;
use super::peer::SITES_PER_CERTIFICATE_MAX;
use super::percent::{decode, encode_into, is_name};

/// How a scope URI begins.
pub(super) const SCOPE_SCHEME: &str = "ocelli-site:";
/// The scope of certificates that forward many sites. No name is spelled so.
const EVERY: &str = "*";

/// The values of `resource_site` that an identity may send records of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SiteScope {
    /// Any site of the mesh: certificates of regions and globals, which forward.
    Every,
    /// These sites alone.
    Sites(BTreeSet<String>),
}

/// Why texts are no scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SiteScopeError {
    /// Not the form of a scope URI.
    #[error("{shown:?} is no scope; the form is ocelli-site:<site>, percent-encoded once, or *")]
    Form {
        /// The first letters of the text.
        shown: String,
    },
    /// A site that cannot be a name.
    #[error(
        "{shown:?} is no name of a site; \
         give 1 to 128 bytes without control characters or blanks at the ends"
    )]
    Site {
        /// Its first letters.
        shown: String,
    },
    /// More sites than a certificate carries.
    #[error(
        "{SITES_PER_CERTIFICATE_MAX} sites is the limit of one certificate; \
         use * for a node that forwards many, or several certificates"
    )]
    TooMany,
    /// The same site twice, or `*` beside sites.
    #[error("scope {shown:?} is given twice or beside `*`; give each site once or `*` alone")]
    Twice {
        /// The first letters of the scope.
        shown: String,
    },
}

impl SiteScope {
    /// The scope of one site.
    #[must_use]
    pub fn of_site(site: &str) -> Self {
        Self::Sites(BTreeSet::from([site.to_owned()]))
    }

    /// The scope of these sites; `*` alone is every site.
    ///
    /// # Errors
    /// [`SiteScopeError`] for a text that is no site, a repetition, or too many.
    pub fn of_sites<'a>(sites: impl IntoIterator<Item = &'a str>) -> Result<Self, SiteScopeError> {
        let mut builder = Builder::default();
        for site in sites {
            if site != EVERY && !is_name(site) {
                let shown = shown(site);
                return Err(SiteScopeError::Site { shown });
            }
            builder.add((site != EVERY).then(|| site.to_owned()))?;
        }
        Ok(builder.finish().unwrap_or(Self::Sites(BTreeSet::new())))
    }

    /// Whether records of `site` are within the scope. Exact: case and spelling count.
    #[must_use]
    pub fn allows(&self, site: &str) -> bool {
        match self {
            Self::Every => true,
            Self::Sites(sites) => sites.contains(site),
        }
    }

    /// Whether all of `other` is within this scope.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Every, _) => true,
            (Self::Sites(_), Self::Every) => false,
            (Self::Sites(own), Self::Sites(others)) => others.is_subset(own),
        }
    }

    /// The URIs of the certificate, in order of the sites.
    #[must_use]
    pub fn uris(&self) -> Vec<String> {
        match self {
            Self::Every => vec![format!("{SCOPE_SCHEME}{EVERY}")],
            Self::Sites(sites) => sites.iter().map(|site| uri(site)).collect(),
        }
    }
}

fn uri(site: &str) -> String {
    let mut uri = String::from(SCOPE_SCHEME);
    encode_into(site, &mut uri);
    uri
}

/// Gathers the scopes of one certificate.
#[derive(Default)]
pub(super) struct Builder {
    is_every: bool,
    sites: BTreeSet<String>,
}

impl Builder {
    /// Takes one URI in.
    pub(super) fn add_uri(&mut self, uri: &str) -> Result<(), SiteScopeError> {
        let wrong = || SiteScopeError::Form { shown: shown(uri) };
        let spelling = uri.strip_prefix(SCOPE_SCHEME).ok_or_else(wrong)?;
        if spelling == EVERY {
            return self.add(None);
        }
        self.add(Some(decode(spelling).ok_or_else(wrong)?))
    }

    fn add(&mut self, site: Option<String>) -> Result<(), SiteScopeError> {
        let twice = |site: &str| SiteScopeError::Twice { shown: shown(site) };
        let Some(site) = site else {
            if self.is_every || !self.sites.is_empty() {
                return Err(twice(EVERY));
            }
            self.is_every = true;
            return Ok(());
        };
        if self.is_every || self.sites.contains(&site) {
            return Err(twice(&site));
        }
        if self.sites.len() == SITES_PER_CERTIFICATE_MAX {
            return Err(SiteScopeError::TooMany);
        }
        self.sites.insert(site);
        Ok(())
    }

    /// The scope; `None` if no URI was taken in.
    pub(super) fn finish(self) -> Option<SiteScope> {
        match (self.is_every, self.sites.is_empty()) {
            (true, _) => Some(SiteScope::Every),
            (false, true) => None,
            (false, false) => Some(SiteScope::Sites(self.sites)),
        }
    }
}

impl fmt::Display for SiteScope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Every => formatter.pad(EVERY),
            Self::Sites(sites) => {
                let sites: Vec<&str> = sites.iter().map(String::as_str).collect();
                formatter.pad(&sites.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_allows_its_own_sites_exactly() {
        let scope = SiteScope::of_sites(["dc1", "dc 2"]).unwrap();
        for (site, expected) in [
            ("dc1", true),
            ("dc 2", true),
            ("DC1", false),
            ("dc", false),
            ("dc%202", false),
            ("*", false),
            ("", false),
        ] {
            assert_eq!(scope.allows(site), expected, "{site}");
            assert!(SiteScope::Every.allows(site), "{site}");
        }
    }

    #[test]
    fn a_scope_covers_what_is_within_it() {
        let scope = |sites: &[&str]| SiteScope::of_sites(sites.iter().copied()).unwrap();
        for (own, other, expected) in [
            (scope(&["*"]), scope(&["*"]), true),
            (scope(&["*"]), scope(&["a", "b"]), true),
            (scope(&["a", "b"]), scope(&["b"]), true),
            (scope(&["a", "b"]), scope(&[]), true),
            (scope(&["a"]), scope(&["a", "b"]), false),
            (scope(&["a"]), scope(&["*"]), false),
        ] {
            assert_eq!(own.covers(&other), expected, "{own} covers {other}");
        }
    }

    #[test]
    fn each_scope_is_read_back_from_its_uris() {
        for scope in [
            SiteScope::Every,
            SiteScope::of_site("dc1"),
            SiteScope::of_sites(["dc 2", "å/b", "%", "x*"]).unwrap(),
        ] {
            let mut builder = Builder::default();
            for uri in scope.uris() {
                builder.add_uri(&uri).unwrap();
            }
            assert_eq!(builder.finish(), Some(scope));
        }
        assert_eq!(Builder::default().finish(), None);
    }

    #[test]
    fn what_is_no_scope_is_refused_with_its_reason() {
        let many: Vec<String> = (0..=SITES_PER_CERTIFICATE_MAX)
            .map(|n| n.to_string())
            .collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(SiteScope::of_sites(many), Err(SiteScopeError::TooMany));
        for sites in [["a", "a"], ["*", "a"], ["a", "*"], ["*", "*"]] {
            let error = SiteScope::of_sites(sites).unwrap_err();
            assert!(matches!(error, SiteScopeError::Twice { .. }), "{error}");
        }
        let error = SiteScope::of_sites(["a "]).unwrap_err();
        assert!(matches!(error, SiteScopeError::Site { .. }), "{error}");
        for uri in [
            "ocelli-site:",
            "ocelli-site:%2a",
            "ocelli-site:a/b",
            "site:a",
        ] {
            let error = Builder::default().add_uri(uri).unwrap_err();
            assert!(
                matches!(error, SiteScopeError::Form { .. }),
                "{uri}: {error}"
            );
        }
    }
}
