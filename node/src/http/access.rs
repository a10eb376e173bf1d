//! Who asks, and what they may do: tokens, client certificates, roles, filters, shares.
//!
//! Does: know callers by `[[http.access]]`, keep tokens as hashes, judge a request by the route's
//! row. Does not: hold the rows (`openapi`), check names and origins (`guard`).
//! In: opened accesses, a request's proof. Out: a `Caller`, or a refusal.
//! Invariant (promise P13): a route without a row is not served; a filter narrows every route.

mod caller;
mod list;
mod quota;

pub(super) use caller::{Caller, Rule, both, verdict};
pub(crate) use list::memory_places;
pub use list::{AccessList, Unusable};
pub(super) use list::{Came, Proof};
pub(super) use quota::{Pace, Slot};

#[cfg(test)]
#[path = "access/access_tests.rs"]
mod tests;
