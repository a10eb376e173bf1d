//! A credential that cannot be printed, serialised or forgotten in memory by accident.
//!
//! Does: print `[redacted]`, wipe itself on drop, open through [`Secret::expose`] alone, so that
//! a review finds each use by that word. Does not: read files or the environment (`config`).
//! In: a value that can be wiped. Out: a reference to it, on request.
//! There is no `Serialize` and no `PartialEq`: neither a dump nor a timing can give it away.

use std::fmt;

use serde::{Deserialize, Deserializer};
use zeroize::Zeroize;

/// What is printed in place of a secret.
pub const REDACTED: &str = "[redacted]";

/// A value that never shows: community, passphrase, key, token.
///
/// ```
/// use ocelli_model::secret::Secret;
/// let community = Secret::new(String::from("s3cret"));
/// assert_eq!(format!("{community} {community:?}"), "[redacted] [redacted]");
/// assert_eq!(community.expose(), "s3cret");
/// ```
pub struct Secret<T: Zeroize>(T);

impl<T: Zeroize> Secret<T> {
    /// Takes `value` in; what the caller copied before is the caller's to wipe.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself. Each use is one to review: it must not reach a log, an error or a file.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<T: Zeroize + Clone> Clone for Secret<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Zeroize> From<T> for Secret<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(REDACTED)
    }
}

impl<T: Zeroize> fmt::Display for Secret<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(REDACTED)
    }
}

impl<'de, T: Zeroize + Deserialize<'de>> Deserialize<'de> for Secret<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;

    /// Stands in for a key: tells when it is wiped.
    struct Witness(Rc<Cell<u32>>);

    impl Zeroize for Witness {
        fn zeroize(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }

    #[test]
    fn a_secret_prints_as_redacted_in_every_form() {
        #[derive(Debug)]
        #[expect(dead_code, reason = "read through Debug only")]
        struct Holder {
            community: Secret<String>,
            key: Option<Secret<Vec<u8>>>,
        }
        let holder = Holder {
            community: Secret::from(String::from("canary")),
            key: Some(Secret::new(b"canary".to_vec())),
        };
        for text in [format!("{holder:?}"), format!("{holder:#?}")] {
            assert!(!text.contains("canary") && !text.contains("99"), "{text}");
            assert_eq!(text.matches(REDACTED).count(), 2, "{text}");
        }
    }

    #[test]
    fn a_secret_is_wiped_once_when_dropped() {
        let wiped = Rc::new(Cell::new(0));
        let secret = Secret::new(Witness(Rc::clone(&wiped)));
        assert_eq!(wiped.get(), 0);
        drop(secret);
        assert_eq!(wiped.get(), 1);
    }

    #[test]
    fn a_secret_is_read_from_json_as_its_value() {
        let secret: Secret<String> = serde_json::from_str("\"public\"").unwrap();
        assert_eq!(secret.clone().expose(), "public");
    }
}
