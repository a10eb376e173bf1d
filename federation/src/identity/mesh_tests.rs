//! A mesh for tests: an authority in memory, identities on order, a clock that tests set.
//!
//! Does: make what `ocelli ca` would make, without files. Does not: run outside tests.
//! In: a mesh's name, orders. Out: [`Authority`], [`IdentityMaterial`], [`TestTime`].

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use ocelli_model::clock::{Rng, WallMs};
use ocelli_model::secret::Secret;
use rustls::time_provider::TimeProvider;
use rustls_pki_types::UnixTime;

use super::*;

/// 2026-01-01.
pub(crate) const NOW: WallMs = WallMs(1_767_225_600_000);

/// A clock that stands until it is set.
#[derive(Debug)]
pub(crate) struct TestTime(AtomicI64);

impl TestTime {
    pub(crate) fn at(now: WallMs) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(now.0)))
    }

    pub(crate) fn set(&self, now: WallMs) {
        self.0.store(now.0, Ordering::SeqCst);
    }
}

impl TimeProvider for TestTime {
    fn current_time(&self) -> Option<UnixTime> {
        let ms = u64::try_from(self.0.load(Ordering::SeqCst)).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_millis(ms)))
    }
}

/// Numbers that differ.
pub(crate) struct Counter(pub(crate) u64);

impl Rng for Counter {
    fn next_u64(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963);
        self.0
    }
}

pub(crate) struct TestMesh {
    pub(crate) authority: Authority,
    rng: Counter,
}

impl TestMesh {
    pub(crate) fn new(mesh: &str, seed: u64) -> Self {
        let mut rng = Counter(seed);
        let serial = random_serial(&mut rng);
        let (authority, _) = Authority::create(mesh, &serial, NOW, ROOT_DAYS).unwrap();
        Self { authority, rng }
    }

    /// Certificate and key of `ocelli://<mesh>/<tier>/<name>/<node>`, valid for 90 days.
    pub(crate) fn node(&mut self, tier: Tier, name: &str, node: &str) -> IdentityMaterial {
        let identity = NodeIdentity::new(self.authority.mesh(), tier, name, node).unwrap();
        let days = i64::from(CERTIFICATE_DAYS);
        self.issue(identity, (backdated(NOW), WallMs(NOW.0 + days * DAY_MS)))
    }

    pub(crate) fn issue(
        &mut self,
        identity: NodeIdentity,
        (not_before, not_after): (WallMs, WallMs),
    ) -> IdentityMaterial {
        let key = NodeKey::generate().unwrap();
        let request = CertificateRequest::of_key(&key, &identity).unwrap();
        let grant = Grant {
            scope: scope_of(&identity, &[]).unwrap(),
            identity,
            serial: random_serial(&mut self.rng),
            not_before,
            not_after,
        };
        let (pem, _) = self.authority.issue(&request, &grant).unwrap();
        IdentityMaterial {
            certificate: pem.into_bytes(),
            key: Secret::new(key.to_pem().expose().clone().into_bytes()),
            roots: vec![self.authority.root_pem().as_bytes().to_vec()],
            lists: Vec::new(),
        }
    }

    pub(crate) fn list(&self, number: u64, serials: &[Serial]) -> Vec<u8> {
        let revoked: Vec<_> = serials.iter().map(|serial| (serial.clone(), NOW)).collect();
        self.authority.revocations(number, &revoked, NOW).unwrap()
    }
}

pub(crate) fn store(material: &IdentityMaterial) -> Arc<IdentityStore> {
    IdentityStore::new(material, TestTime::at(NOW)).unwrap()
}
