//! What a run noticed of its device that is worth an event.
//!
//! Does: name it. Does not: report (`resource`), decide on credentials (`credential_choice`).
//! In: a run that ended, its session, the credential that comes next. Out: events.

use ocelli_model::event::Event;

use crate::collection::Collected;
use crate::plan::ResourcePlan;
use crate::session::OpenSession;

/// Events of a run; `next` is the credential to be used from now on, if it is another.
pub(super) fn events_of(
    plan: &ResourcePlan,
    collected: &Collected,
    session: &OpenSession,
    next: Option<usize>,
) -> Vec<Event> {
    let name_of = |position: usize| {
        let named = plan.credentials.get(position);
        named.map_or_else(String::new, |credential| credential.name.to_string())
    };
    let switched = next.map(|next| Event::CredentialSwitched {
        before: name_of(session.credential),
        now: name_of(next),
    });
    let regressed = session
        .take_boots_regression()
        .map(|(before, after)| Event::EngineBootsRegressed { before, after });
    let names = collected
        .result
        .as_ref()
        .map(|notes| &notes.ambiguous_identity);
    let tied = names.into_iter().flatten();
    let tied = tied.map(|(name, rows)| Event::AmbiguousIdentity {
        name: name.clone(),
        rows: *rows as u64,
    });
    switched.into_iter().chain(regressed).chain(tied).collect()
}
