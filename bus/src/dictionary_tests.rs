//! Proof of the dictionary's own limits; its way to a reader is proved in `encoder_tests`.

use super::*;
use crate::testing::{resource, switch_batch};

fn dictionary(ids: u32) -> Dictionary {
    let mut dictionary = Dictionary::default();
    dictionary.add_ids(1..1 + ids);
    dictionary
}

#[test]
fn two_pairs_of_one_resource_share_its_id_and_the_schema() {
    let mut dictionary = dictionary(1_000);
    let resource = resource("sw1");
    let [interfaces, other]: [Arc<str>; 2] = [Arc::from("interfaces"), Arc::from("other")];
    let batch = switch_batch(2, 0);
    let mut caches = [PairCache::default(), PairCache::default()];
    let first = dictionary
        .ids_of_batch(&mut caches[0], &resource, &interfaces, &batch)
        .unwrap();
    let second = dictionary
        .ids_of_batch(&mut caches[1], &resource, &other, &batch)
        .unwrap();
    assert_eq!(
        (first.resource, first.schema),
        (second.resource, second.schema)
    );
    assert_ne!(first.plugin, second.plugin);
    let again = dictionary
        .ids_of_batch(&mut caches[0], &resource, &interfaces, &batch)
        .unwrap();
    assert_eq!(first, again);
}

#[test]
fn changed_metadata_are_a_new_id_and_a_smaller_range_is_not_taken() {
    let mut dictionary = dictionary(1_000);
    let mut cache = PairCache::default();
    let first = dictionary
        .ids_of_pair(&mut cache, &resource("sw1"), None, WallMs(0))
        .unwrap();
    let other = dictionary
        .ids_of_pair(&mut cache, &resource("sw2"), None, WallMs(0))
        .unwrap();
    assert_ne!(first.resource, other.resource);
    assert_eq!(first.plugin, DefinitionId::NONE);
    let left = dictionary.ids_left();
    dictionary.add_ids(5_000..5_010);
    assert_eq!(dictionary.ids_left(), left);
}

#[test]
fn large_row_sets_are_defined_in_parts_that_fit() {
    let mut dictionary = dictionary(1_000_000);
    let mut cache = PairCache::default();
    let batch = switch_batch(20_000, 0);
    let plugin = Arc::from("interfaces");
    dictionary
        .ids_of_batch(&mut cache, &resource("sw1"), &plugin, &batch)
        .unwrap();
    let blocks = dictionary.take_sealed();
    let count: u32 = blocks.iter().map(SealedBlock::count).sum();
    assert!(count > 20, "{count} definitions");
    assert!(dictionary.take_sealed().is_empty(), "taken once");
}
