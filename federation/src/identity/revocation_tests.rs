//! Tests of reading lists: what is read, what is refused, mutated bytes.

use proptest::prelude::*;

use super::*;
use crate::identity::CertificateRequest;
use crate::identity::NodeKey;
use crate::identity::test_mesh::TestMesh;
use crate::identity::{NodeIdentity, Tier};

fn serials(count: u8) -> Vec<Serial> {
    let serial = |n: u8| Serial::from_bytes(&[0x80, n, 1]).unwrap();
    (0..count).map(serial).collect()
}

#[test]
fn number_and_serials_are_read_back() {
    let mesh = TestMesh::new("acme", 1);
    for count in [0, 1, 200] {
        let revoked = serials(count);
        let list = RevocationList::from_der(&mesh.list(42, &revoked)).unwrap();
        assert_eq!(list.number(), 42);
        assert_eq!(list.serials().iter().cloned().collect::<Vec<_>>(), revoked);
        assert!(
            list.check_signature(&[mesh.authority.root_der().to_vec()])
                .is_ok()
        );
    }
}

#[test]
fn lists_that_are_none_are_refused() {
    let mesh = TestMesh::new("acme", 1);
    let sound = mesh.list(1, &serials(3));
    let longer = [sound.as_slice(), &[0]].concat();
    let read = |der: &[u8]| RevocationList::from_der(der).unwrap_err();
    assert_eq!(read(&[]), RevocationError::Malformed);
    assert_eq!(read(&longer), RevocationError::Malformed);
    assert_eq!(read(mesh.authority.root_der()), RevocationError::Malformed);
    let large = vec![0; REVOCATIONS_BYTES_MAX + 1];
    assert!(matches!(read(&large), RevocationError::TooLarge { .. }));
}

proptest! {
    #[test]
    fn a_changed_list_is_never_believed(
        changes in prop::collection::vec((any::<prop::sample::Index>(), 1..=255_u8), 1..4),
    ) {
        let mesh = TestMesh::new("acme", 1);
        let sound = mesh.list(1, &serials(3));
        let mut der = sound.clone();
        for (index, byte) in changes {
            let index = index.index(der.len());
            der[index] ^= byte;
        }
        prop_assume!(der != sound);
        if let Ok(list) = RevocationList::from_der(&der) {
            let roots = [mesh.authority.root_der().to_vec()];
            prop_assert_eq!(list.check_signature(&roots), Err(RevocationError::Untrusted));
        }
    }

    #[test]
    fn random_bytes_are_neither_list_nor_request(
        bytes in prop::collection::vec(any::<u8>(), 0..512),
    ) {
        prop_assert!(RevocationList::from_der(&bytes).is_err());
        prop_assert!(CertificateRequest::parse(&bytes).is_err());
    }

    #[test]
    fn a_changed_request_is_refused_or_says_the_same_of_the_same_key(
        changes in prop::collection::vec((any::<prop::sample::Index>(), 1..=255_u8), 1..4),
    ) {
        let identity = NodeIdentity::new("acme", Tier::Site, "dc1", "a").unwrap();
        let sound = NodeKey::generate().unwrap().request(&identity).unwrap();
        let mut der = sound.clone();
        for (index, byte) in changes {
            let index = index.index(der.len());
            der[index] ^= byte;
        }
        prop_assume!(der != sound);
        // Bytes around what is signed may differ in form: DER is read with some tolerance there.
        if let Ok(read) = CertificateRequest::parse(&der) {
            let meant = CertificateRequest::parse(&sound).unwrap();
            prop_assert_eq!(read.asked(), meant.asked());
            prop_assert_eq!(read.key_bytes(), meant.key_bytes());
        }
    }
}
