//! A certificate is opened, compared with the configuration and exchanged; wrong ones are told.

use std::path::PathBuf;

use ocelli_federation::identity::{
    AuthorityDirectory, DAY_MS, IssueOrder, NodeKey, Tier, write_key,
};
use ocelli_model::clock::{Clock as _, Rng};

use super::*;
use crate::clock::RealClock;
use crate::rng::RealRng;

/// An authority and the files of one node, issued for `node` of site `dc1`.
struct Files {
    folder: tempfile::TempDir,
    authority: AuthorityDirectory,
}

impl Files {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (now, mut rng) = (RealClock.wall(), RealRng::default());
        let at = folder.path().join("ca");
        let authority = AuthorityDirectory::init(&at, "acme", 30, (now, &mut rng)).unwrap();
        Self { folder, authority }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn issue(&self, node: &str, days: i64) {
        let identity = NodeIdentity::new("acme", Tier::Site, "dc1", node).unwrap();
        let key = NodeKey::generate().unwrap();
        let order = IssueOrder {
            identity,
            speaks_for: Vec::new(),
            valid_for: Duration::from_secs((20 + days).unsigned_abs() * 86_400),
        };
        let (then, mut rng) = (RealClock.wall().0 - 20 * DAY_MS, RealRng::default());
        let at = (WallMs(then), &mut rng as &mut dyn Rng);
        let issued = self.authority.issue_with_key(&key, order, at).unwrap();
        std::fs::write(self.path("node.pem"), issued.certificate_pem).unwrap();
        write_key(&self.path("node-key.pem"), &key.to_pem()).unwrap();
    }

    fn config(&self, node: &str) -> Config {
        self.config_with(node, "")
    }

    fn config_with(&self, node: &str, identity: &str) -> Config {
        let text = format!(
            "[node]\nmesh = \"acme\"\nsite = \"dc1\"\nname = \"n1\"\ndata_dir = {:?}\n{node}\n\
             [identity]\ncertificate = {:?}\nkey = {:?}\nroots = [{:?}]\n{identity}\n\
             [[origin]]\nmatch = \"*\"\n",
            self.path("data"),
            self.path("node.pem"),
            self.path("node-key.pem"),
            self.path("ca/root.pem"),
        );
        let mut sources = ocelli_config::Sources::new();
        sources.push(ocelli_config::Source::file("/etc/ocelli.toml", text));
        let options = ocelli_config::LoadOptions {
            hostname: "n1",
            is_strict: true,
        };
        let loaded = ocelli_config::load(sources, options);
        loaded.unwrap_or_else(|error| panic!("{error}")).config
    }
}

#[test]
fn a_certificate_of_this_node_is_opened_and_another_of_it_taken_at_a_reload() {
    let files = Files::new();
    files.issue("n1", 5);
    let identity = MeshIdentity::open(&files.config("")).unwrap();
    let serial = || identity.store().unwrap().own().serial.clone();
    let first = serial();
    files.issue("n1", 5);
    identity.reload(&files.config("")).unwrap();
    assert_ne!(serial(), first);
    files.issue("n2", 5);
    let refused = identity.reload(&files.config("")).unwrap_err();
    assert!(
        matches!(refused, MeshIdentityError::Other { .. }),
        "{refused}"
    );
    assert_ne!(serial(), first, "the good one stays");
}

#[test]
fn what_keeps_a_node_from_being_itself_is_told() {
    let files = Files::new();
    let check = |node: &str, part: &str| {
        let opened = MeshIdentity::open(&files.config(node));
        let error = opened
            .err()
            .unwrap_or_else(|| panic!("{node} is taken"))
            .to_string();
        assert!(error.contains(part), "{part:?} is not in {error}");
    };
    check("", "node.pem");
    files.issue("n2", 5);
    check("", "but [node] says ocelli://acme/site/dc1/n1");
    files.issue("n1", 5);
    check("sites = [\"dc1\", \"dc2\"]", "\"dc2\"");
    assert!(MeshIdentity::open(&files.config("sites = [\"dc1\"]")).is_ok());
    std::fs::write(files.path("node.pem"), "no certificate").unwrap();
    check("", "identity.certificate");
}

#[test]
fn an_expired_certificate_does_not_keep_a_node_from_reading_what_it_holds() {
    let files = Files::new();
    files.issue("n1", -1);
    let identity = MeshIdentity::open(&files.config("")).unwrap();
    let own = identity.store().unwrap().own();
    assert!(matches!(
        Validity::of(&own, RealClock.wall()),
        Validity::Expired { .. }
    ));
}

#[test]
fn a_node_with_a_token_and_no_certificate_is_nobody_until_it_joined_and_then_needs_no_token() {
    let files = Files::new();
    let token = format!("token = {{ file = {:?} }}", files.path("token"));
    let config = files.config_with("", &token);
    // No token file, no certificate: joining is wanted, and says what is missing.
    assert!(joining::is_wanted(&config));
    assert!(MeshIdentity::open(&config).unwrap().store().is_none());
    let refused = settings_of(&config).unwrap_err().to_string();
    assert!(refused.contains("identity.token"), "{refused}");
    files.issue("n1", 5);
    assert!(!joining::is_wanted(&config));
    assert!(MeshIdentity::open(&config).unwrap().store().is_some());
    assert!(settings_of(&config).unwrap().unwrap().token.is_none());
}
