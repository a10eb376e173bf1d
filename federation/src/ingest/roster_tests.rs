//! Proof of `roster`: the first generation is bound, the second waits for a person, disk included.

use super::*;

fn comer(site: &str, node: &str, generation: u64) -> Comer {
    Comer {
        key: (site.to_owned(), node.to_owned()),
        generation,
        origin: OriginId(u128::from(generation)),
    }
}

const NOW: WallMs = WallMs(1_000);

#[tokio::test]
async fn a_second_generation_waits_until_it_is_adopted_and_the_first_stays_known() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("roster.json");
    let roster = Roster::open(path.clone()).unwrap();
    roster.admit(comer("dc1", "n1", 5), NOW).await.unwrap();
    // Each node of a site has a generation of its own until the site is one cluster.
    roster.admit(comer("dc1", "n2", 6), NOW).await.unwrap();
    let refused = roster.admit(comer("dc1", "n1", 9), NOW).await.unwrap_err();
    let text = refused.to_string();
    assert!(text.contains("generation 9 of dc1/n1") && text.contains("ocelli mesh adopt dc1"));
    // A restart neither forgets what is known nor takes what was refused.
    let roster = Roster::open(path.clone()).unwrap();
    assert!(
        roster
            .admit(comer("dc1", "n1", 9), WallMs(7))
            .await
            .is_err()
    );
    assert!(
        roster
            .admit(comer("dc1", "n1", 9), WallMs(8))
            .await
            .is_err()
    );
    let waiting = roster.waiting();
    assert_eq!(
        (waiting.len(), waiting[0].known, waiting[0].since),
        (1, 5, WallMs(7))
    );

    assert_eq!(roster.adopt("dc2").await.unwrap(), []);
    let adopted = roster.adopt("dc1").await.unwrap();
    assert_eq!((adopted.len(), adopted[0].generation), (1, 9));
    assert_eq!(roster.waiting(), []);
    let roster = Roster::open(path).unwrap();
    for generation in [5, 9] {
        roster
            .admit(comer("dc1", "n1", generation), NOW)
            .await
            .unwrap();
    }
    assert!(roster.admit(comer("dc1", "n1", 11), NOW).await.is_err());
}

#[tokio::test]
async fn a_forgotten_node_is_new_when_it_comes_again_and_others_of_its_site_are_not() {
    let roster = Roster::default();
    for node in ["n1", "n2"] {
        roster.admit(comer("dc1", node, 5), NOW).await.unwrap();
    }
    assert_eq!(roster.forget("dc1/n3", (&[], NOW)).await.unwrap(), 0);
    assert_eq!(roster.forget("dc1/n1", (&[], NOW)).await.unwrap(), 1);
    assert!(roster.knows("dc1") && !roster.knows("dc1/n1"));
    roster.admit(comer("dc1", "n1", 8), NOW).await.unwrap();
    assert!(roster.admit(comer("dc1", "n2", 8), NOW).await.is_err());
    assert_eq!(roster.forget("dc1", (&[], NOW)).await.unwrap(), 2);
    assert_eq!(roster.waiting(), [], "what waited goes with its node");
}

#[tokio::test]
async fn a_forgotten_origin_is_not_expected_until_it_sends_again_over_restarts_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("roster.json");
    let roster = Roster::open(path.clone()).unwrap();
    let (gone, other) = (OriginId(u128::MAX - 7), OriginId(7));
    roster.forget("dc1", (&[gone], NOW)).await.unwrap();
    let roster = Roster::open(path).unwrap();
    for (origin, last, expected) in [
        (gone, None, true),
        (gone, Some(WallMs(999)), true),
        (gone, Some(WallMs(1_001)), false),
        (other, None, false),
    ] {
        assert_eq!(
            roster.is_forgotten(origin, last),
            expected,
            "{origin} {last:?}"
        );
    }
}

#[tokio::test]
async fn what_cannot_be_written_down_is_not_taken() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gone").join("roster.json");
    let roster = Roster::open(path).unwrap();
    for _ in 0..2 {
        let refused = roster.admit(comer("dc1", "n1", 5), NOW).await.unwrap_err();
        assert!(matches!(refused, NotAdmitted::File(_)), "{refused}");
    }
    assert!(!roster.knows("dc1"));
}

#[test]
fn a_damaged_file_is_told_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("roster.json");
    std::fs::write(&path, "{\"version\":1,\"nodes\":[{").unwrap();
    let error = Roster::open(path).unwrap_err().to_string();
    assert!(
        error.contains("roster.json") && error.contains("restore it"),
        "{error}"
    );
}

#[test]
fn a_full_roster_refuses_a_new_node_and_takes_the_known_ones() {
    let mut state = State::default();
    for number in 0..ROSTER_NODES_MAX {
        let admitted = state.admit(comer("dc1", &number.to_string(), 1), NOW);
        assert!(admitted.unwrap());
    }
    let full = state.admit(comer("dc2", "n1", 1), NOW).unwrap_err();
    assert!(full.to_string().contains("ocelli mesh forget"), "{full}");
    assert!(!state.admit(comer("dc1", "7", 1), NOW).unwrap());
}
