//! What a run noticed of its device that is worth an event.
//!
//! Does: name it, names that rows share once until they change. Does not: report (`resource`),
//! decide on credentials (`credential_choice`).
//! In: a run that ended, its session, the credential that comes next, what is told. Out: events.

use ocelli_model::event::Event;

use crate::collection::Collected;
use crate::plan::ResourcePlan;
use crate::session::OpenSession;

/// Events of a run; `next` is the credential to be used from now on, if it is another; `tied` are
/// the shared names that the run before told.
pub(super) fn events_of(
    plan: &ResourcePlan,
    collected: &Collected,
    session: &OpenSession,
    next: Option<usize>,
    tied: &mut Vec<String>,
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
    let newly_tied = match &collected.result {
        Ok(notes) => newly_tied(&notes.ambiguous_identity, tied),
        Err(_) => Vec::new(),
    };
    let events = switched.into_iter().chain(regressed);
    events.chain(newly_tied).collect()
}

/// Names that the run before did not tell; `told` becomes those of this run.
fn newly_tied(names: &[(String, usize)], told: &mut Vec<String>) -> Vec<Event> {
    let new = names.iter().filter(|(name, _)| !told.contains(name));
    let events = new.map(|(name, rows)| Event::AmbiguousIdentity {
        name: name.clone(),
        rows: *rows as u64,
    });
    let events = events.collect();
    told.clear();
    told.extend(names.iter().map(|(name, _)| name.clone()));
    events
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_name_is_told_once_until_it_was_gone() {
        let mut told = Vec::new();
        let mut run = |names: &[&str]| {
            let names: Vec<_> = names.iter().map(|name| ((*name).to_owned(), 2)).collect();
            let events = newly_tied(&names, &mut told);
            let names = events.into_iter().map(|event| match event {
                Event::AmbiguousIdentity { name, .. } => name,
                other => panic!("{other:?}"),
            });
            names.collect::<Vec<_>>()
        };
        assert_eq!(run(&["a", "b"]), ["a", "b"]);
        assert_eq!(run(&["a", "b"]), [""; 0]);
        assert_eq!(run(&["a", "c"]), ["c"]);
        assert_eq!(run(&[]), [""; 0]);
        assert_eq!(run(&["a"]), ["a"]);
    }
}
