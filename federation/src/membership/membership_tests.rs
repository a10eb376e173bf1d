//! Proof of membership over real sockets on loopback: join, renew, revoke, two roots, strangers.
//!
//! Time is moved by hand, for links and certificates alike; the network is real.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ocelli_bus::record::OriginId;
use ocelli_model::clock::{Clock, Monotonic, Sleep, WallMs};
use ocelli_model::secret::Secret;
use ocelli_model::tier::Tier;
use rustls::time_provider::TimeProvider;
use rustls_pki_types::UnixTime;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::*;
use crate::frame::{FEATURES, PROTOCOL, RefuseCode, Role};
use crate::identity::test_mesh::{Counter, NOW, TestMesh};
use crate::identity::*;
use crate::link::testing::HandClock;
use crate::link::*;

/// Both clocks of a node in one.
struct MeshClock(Arc<HandClock>);

impl std::fmt::Debug for MeshClock {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("MeshClock")
    }
}

impl Clock for MeshClock {
    fn monotonic(&self) -> Monotonic {
        self.0.monotonic()
    }

    fn wall(&self) -> WallMs {
        WallMs(NOW.0 + self.0.wall().0)
    }

    fn sleep_until(&self, at: Monotonic) -> Sleep {
        self.0.sleep_until(at)
    }
}

impl TimeProvider for MeshClock {
    fn current_time(&self) -> Option<UnixTime> {
        let ms = u64::try_from(self.wall().0).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_millis(ms)))
    }
}

/// A node with its endpoint, its guard, and its files.
struct Node {
    store: Arc<IdentityStore>,
    endpoint: Arc<MeshEndpoint>,
    offers: Offers,
    address: SocketAddr,
    settings: IdentitySettings,
    _place: TempDir,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Node {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

struct Bed {
    clock: Arc<MeshClock>,
    authority: Arc<AuthorityDirectory>,
    rng: Counter,
    _place: TempDir,
}

fn settings_in(place: &TempDir) -> IdentitySettings {
    let file = |name: &str| place.path().join(name);
    IdentitySettings {
        certificate: file("node.pem"),
        key: file("node-key.pem"),
        roots: vec![file("root.pem")],
        crl: None,
        token: None,
        renew: true,
        directory: file("identity"),
    }
}

impl Bed {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let mut rng = Counter(1);
        let path = place.path().join("ca");
        let made = AuthorityDirectory::init(&path, "acme", ROOT_DAYS, (NOW, &mut rng)).unwrap();
        Self {
            clock: Arc::new(MeshClock(HandClock::new())),
            authority: Arc::new(made),
            rng,
            _place: place,
        }
    }

    fn identity(&self, tier: Tier, node: &str) -> NodeIdentity {
        let name = if tier == Tier::Site { "dc1" } else { "emea" };
        NodeIdentity::new("acme", tier, name, node).unwrap()
    }

    /// A node whose certificate the operator issued.
    fn node(&mut self, tier: Tier, node: &str) -> Node {
        let place = tempfile::tempdir().unwrap();
        let settings = settings_in(&place);
        let identity = self.identity(tier, node);
        let key = NodeKey::generate().unwrap();
        let order = IssueOrder {
            identity,
            speaks_for: Vec::new(),
            valid_for: Duration::from_secs(86_400) * CERTIFICATE_DAYS,
        };
        let at = (NOW, &mut self.rng as &mut dyn ocelli_model::clock::Rng);
        let issued = self.authority.issue_with_key(&key, order, at).unwrap();
        write_key(&settings.key, &key.to_pem()).unwrap();
        write_certificate(&settings.certificate, issued.certificate_pem.as_bytes()).unwrap();
        let root = self.authority.authority().root_pem();
        std::fs::write(&settings.roots[0], root).unwrap();
        self.open(settings, place)
    }

    fn open(&self, settings: IdentitySettings, place: TempDir) -> Node {
        let material = IdentityMaterial::read(&settings).unwrap();
        let store = IdentityStore::new(&material, self.clock.clone()).unwrap();
        let identity = store.own().identity.clone();
        let options = MeshOptions {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            reset_key: reset_key_of(identity.to_string().as_bytes()),
            node: NodeFacts {
                identity,
                build: "test".to_owned(),
                versions: PROTOCOL,
                features: FEATURES,
            },
            budget: LinkBudget {
                ingest_bytes_max: 64 << 20,
                links_max: 16,
            },
            links_per_address_max: 16,
            clock: self.clock.clone(),
        };
        let tls = store.server_config(Admission::NodesAndJoining).unwrap();
        let (endpoint, offers) = MeshEndpoint::open(options, &tls).unwrap();
        let links = endpoint.guard(Arc::clone(&store)).unwrap();
        let directory = Some(settings.directory.clone());
        let guard = tokio::spawn(guard_links(links, directory, self.clock.clone()));
        Node {
            store,
            address: endpoint.local_address().unwrap(),
            endpoint: Arc::new(endpoint),
            offers,
            settings,
            _place: place,
            tasks: vec![guard],
        }
    }

    /// A region that issues.
    fn issuer(&mut self) -> Node {
        let mut node = self.node(Tier::Region, "r1");
        let signings = node.endpoint.take_signings(Arc::clone(&node.store));
        let options = IssuerOptions {
            authority: Arc::clone(&self.authority),
            identity: Arc::clone(&node.store),
            clock: self.clock.clone(),
            rng: Box::new(Counter(77)),
        };
        node.tasks.push(tokio::spawn(run_issuer(signings, options)));
        node
    }

    fn token(&mut self, hours: i64) -> Secret<String> {
        let order = TokenOrder {
            tier: Tier::Site,
            name: "dc1".to_owned(),
            node: None,
            speaks_for: Vec::new(),
            uses: 1,
            expires: WallMs(self.clock.wall().0 + hours * 3_600_000),
            days: CERTIFICATE_DAYS,
        };
        let time = (
            self.clock.wall(),
            &mut self.rng as &mut dyn ocelli_model::clock::Rng,
        );
        self.authority.token(order, time).unwrap()
    }

    fn join_options(&self, place: &TempDir, node: &str, issuer: SocketAddr) -> JoinOptions {
        let settings = settings_in(place);
        let root = self.authority.authority().root_pem();
        std::fs::write(&settings.roots[0], root).unwrap();
        JoinOptions {
            settings,
            identity: self.identity(Tier::Site, node),
            issuers: vec![issuer.to_string()],
            time: self.clock.clone(),
            clock: self.clock.clone(),
            rng: Box::new(Counter(5)),
            states: tokio::sync::watch::Sender::default(),
        }
    }

    fn clock(&self) -> Arc<dyn Clock> {
        self.clock.clone()
    }

    /// The TLS of a node that has a key only, and a request for its name.
    fn stranger(&self, token: Option<Secret<String>>) -> (rustls::ClientConfig, SigningRequest) {
        let key = NodeKey::generate().unwrap();
        let root = self.authority.authority().root_pem().as_bytes().to_vec();
        let tls = joining_config(&key, "acme", &[root], self.clock.clone()).unwrap();
        let csr = key.request(&self.identity(Tier::Site, "x")).unwrap();
        (tls, SigningRequest { csr, token })
    }
}

fn facts() -> DialFacts {
    DialFacts {
        origin: OriginId(1),
        role: Role::Uplink,
    }
}

fn welcome() -> WelcomeFacts {
    WelcomeFacts {
        origin: OriginId(2),
        ingest_bytes_in_flight_max: 1 << 20,
    }
}

impl Node {
    async fn dial(&self, to: &Node) -> Result<Arc<QuicLink>, DialError> {
        let tls = self.store.client_config(Expected::Upstream).unwrap();
        self.endpoint.dial(to.address, &tls, facts()).await
    }
}

/// The two ends of a link, the lower one first.
async fn linked(up: &mut Node, down: &Node) -> (Arc<QuicLink>, Arc<QuicLink>) {
    let offers = &mut up.offers;
    let taken = async { offers.next().await.unwrap().welcome(welcome()).await };
    let tls = down.store.client_config(Expected::Upstream).unwrap();
    let (dialled, taken) = tokio::join!(down.endpoint.dial(up.address, &tls, facts()), taken);
    (dialled.unwrap(), taken.unwrap())
}

fn refusal(error: &JoinError) -> (u16, String) {
    match error {
        JoinError::Issuers(IssuersError::Ask(AskError::Refused { code, reason, .. })) => {
            (*code, reason.clone())
        }
        other => panic!("not refused: {other}"),
    }
}

#[tokio::test]
async fn a_node_joins_with_a_good_token_and_links_with_what_it_got() {
    let mut bed = Bed::new();
    let mut issuer = bed.issuer();
    let place = tempfile::tempdir().unwrap();
    let mut options = bed.join_options(&place, "a", issuer.address);
    options.settings.token = Some(bed.token(1));
    let settings = options.settings.clone();
    let states = options.states.subscribe();
    let peer = join(options).await.unwrap();
    assert_eq!(*states.borrow(), JoinState::Joined);
    assert_eq!(peer.identity.to_string(), "ocelli://acme/site/dc1/a");
    assert!(peer.scope.allows("dc1") && !peer.scope.allows("dc2"));
    let node = bed.open(settings, place);
    let (_down, up) = linked(&mut issuer, &node).await;
    assert_eq!(up.peer().serial, peer.serial);
}

#[tokio::test]
async fn a_used_an_expired_and_a_wrong_token_are_refused_by_name() {
    let mut bed = Bed::new();
    let issuer = bed.issuer();
    let (used, expired) = (bed.token(1), bed.token(-1));
    let place = tempfile::tempdir().unwrap();
    let mut first = bed.join_options(&place, "a", issuer.address);
    first.settings.token = Some(used.clone());
    join(first).await.unwrap();
    let wrong = Secret::new("ocelli-join-canary".to_owned());
    for (name, token, expected) in [
        ("used", used, "used up"),
        ("expired", expired, "has expired"),
        ("wrong", wrong, "not known here"),
    ] {
        let place = tempfile::tempdir().unwrap();
        let mut options = bed.join_options(&place, "b", issuer.address);
        options.settings.token = Some(token);
        let certificate = options.settings.certificate.clone();
        let states = options.states.subscribe();
        let error = join(options).await.unwrap_err();
        let told = JoinState::Refused {
            error: error.to_string(),
        };
        assert_eq!(*states.borrow(), told, "{name}");
        let (code, reason) = refusal(&error);
        assert!(code == 403 && reason.contains(expected), "{name}: {error}");
        assert!(!error.to_string().contains("canary"), "{name}: {error}");
        assert!(!certificate.exists(), "{name}");
    }
}

#[tokio::test]
async fn joining_without_token_issuer_or_sound_name_ends_with_what_to_do() {
    let mut bed = Bed::new();
    let issuer = bed.issuer();
    let place = tempfile::tempdir().unwrap();
    let none = join(bed.join_options(&place, "a", issuer.address)).await;
    assert!(none.unwrap_err().to_string().contains("ocelli ca token"));
    let mut nobody = bed.join_options(&place, "a", issuer.address);
    (nobody.settings.token, nobody.issuers) = (Some(bed.token(1)), Vec::new());
    assert!(matches!(
        join(nobody).await,
        Err(JoinError::Issuers(IssuersError::NoIssuer))
    ));
    // The token is for dc1.
    let mut other = bed.join_options(&place, "a", issuer.address);
    other.settings.token = Some(bed.token(1));
    other.identity = NodeIdentity::new("acme", Tier::Site, "dc2", "a").unwrap();
    let (code, reason) = refusal(&join(other).await.unwrap_err());
    assert!(code == 403 && reason.contains("dc2"), "{reason}");
}

#[tokio::test]
async fn a_node_without_a_certificate_gets_nothing_but_an_answer_to_its_token() {
    let mut bed = Bed::new();
    let issuer = bed.issuer();
    let (tls, request) = bed.stranger(None);
    let asked = ask_to_sign(issuer.address, &tls, &request, &bed.clock()).await;
    let error = asked.unwrap_err();
    assert!(error.to_string().contains("needs a join token"), "{error}");
    // It says Hello.
    let site = bed.node(Tier::Site, "a");
    let dialled = site.endpoint.dial(issuer.address, &tls, facts()).await;
    let error = dialled.err().unwrap();
    let DialError::Greet { source, .. } = &error else {
        panic!("{error}");
    };
    let is_refused = matches!(
        source,
        GreetError::Refused { code, .. } if *code == RefuseCode::Identity
    );
    assert!(is_refused, "{error}");
    // A node that signs nothing says so to nodes of the mesh.
    let tls = site.store.client_config(Expected::Anyone).unwrap();
    let (plain, (_, request)) = (bed.node(Tier::Region, "r2"), bed.stranger(None));
    let asked = ask_to_sign(plain.address, &tls, &request, &bed.clock()).await;
    let refused = matches!(asked, Err(AskError::Refused { code: 404, .. }));
    assert!(refused, "{asked:?}");
}

#[tokio::test]
async fn issuer_and_node_of_different_authorities_refuse_each_other() {
    let mut bed = Bed::new();
    let issuer = bed.issuer();
    let other = Bed::new();
    let mut foreign = TestMesh::new("acme", 9);
    // Its roots do not know the issuer.
    let key = NodeKey::generate().unwrap();
    let root = foreign.authority.root_pem().as_bytes().to_vec();
    let tls = joining_config(&key, "acme", &[root], bed.clock.clone()).unwrap();
    let (_, request) = other.stranger(Some(bed.token(1)));
    let asked = ask_to_sign(issuer.address, &tls, &request, &bed.clock()).await;
    let closed = matches!(&asked, Err(error @ AskError::Closed { .. }) if error.is_transient());
    assert!(closed, "{asked:?}");
    // The issuer does not know its root.
    let material = foreign.node(Tier::Site, "dc1", "a");
    let store = IdentityStore::new(&material, bed.clock.clone()).unwrap();
    let both = IdentityMaterial {
        roots: vec![
            material.roots[0].clone(),
            bed.authority.authority().root_pem().as_bytes().to_vec(),
        ],
        ..material
    };
    store.replace(&both).unwrap();
    let tls = store.client_config(Expected::Anyone).unwrap();
    let token = bed.token(1);
    let (_, request) = bed.stranger(Some(token));
    let asked = ask_to_sign(issuer.address, &tls, &request, &bed.clock()).await;
    assert!(matches!(asked, Err(AskError::Closed { .. })), "{asked:?}");
    assert_eq!(issuer.store.refusals().values().sum::<u64>(), 1);
}

#[tokio::test]
async fn a_certificate_is_renewed_while_its_links_stand() {
    let mut bed = Bed::new();
    let mut issuer = bed.issuer();
    let site = bed.node(Tier::Site, "a");
    let (down, up) = linked(&mut issuer, &site).await;
    let before = site.store.own();
    let options = RenewalOptions {
        identity: Arc::clone(&site.store),
        settings: site.settings.clone(),
        issuers: vec![issuer.address.to_string()],
        clock: bed.clock.clone(),
    };
    let (renewal, mut states) = Renewal::new(options, Box::new(Counter(3)));
    let renewing = tokio::spawn(run_renewal(renewal));
    let days = u64::from(CERTIFICATE_DAYS) * 2 / 3 + 1;
    bed.clock.0.advance(Duration::from_secs(days * 86_400));
    states.wait_for(|state| state.renewed == 1).await.unwrap();
    let after = site.store.own();
    assert!(after.serial != before.serial && after.not_after_ms > before.not_after_ms);
    assert_eq!(
        (&after.identity, &after.scope),
        (&before.identity, &before.scope)
    );
    let written = IdentityMaterial::read(&site.settings).unwrap();
    let written = IdentityStore::new(&written, bed.clock.clone()).unwrap();
    assert_eq!(written.own().serial, after.serial);
    // The old link carries on, a new one shows the new certificate.
    up.send_control(crate::frame::Control::CoverageEnd)
        .await
        .unwrap();
    down.receive().await.unwrap();
    let (_again, up_again) = linked(&mut issuer, &site).await;
    assert_eq!(up_again.peer().serial, after.serial);
    assert_eq!(issuer.endpoint.links_open(), 2);
    renewing.abort();
}

#[tokio::test]
async fn a_refused_renewal_keeps_the_old_certificate_and_says_why() {
    let mut bed = Bed::new();
    let issuer = bed.issuer();
    let site = bed.node(Tier::Site, "a");
    // Revoked in the books, and the list has not reached the issuer's identity yet.
    let options = RenewalOptions {
        identity: Arc::clone(&site.store),
        settings: site.settings.clone(),
        issuers: vec![issuer.address.to_string()],
        clock: bed.clock.clone(),
    };
    let (renewal, mut states) = Renewal::new(options, Box::new(Counter(3)));
    let before = std::fs::read(&site.settings.certificate).unwrap();
    bed.clock.0.advance(Duration::from_secs(70 * 86_400));
    bed.authority
        .revoke("ocelli://acme/site/dc1/a", bed.clock.wall())
        .unwrap();
    let renewing = tokio::spawn(run_renewal(renewal));
    let state = states.wait_for(|state| state.failures == 1).await.unwrap();
    let error = state.error.clone().unwrap();
    drop(state);
    assert!(error.contains("revoked"), "{error}");
    assert_eq!(std::fs::read(&site.settings.certificate).unwrap(), before);
    renewing.abort();
}

#[tokio::test]
async fn a_revoked_node_is_cut_within_ten_seconds_and_stays_out_and_others_do_not_notice() {
    let mut bed = Bed::new();
    let mut issuer = bed.issuer();
    let (a, b) = (bed.node(Tier::Site, "a"), bed.node(Tier::Site, "b"));
    let (a_down, _a_up) = linked(&mut issuer, &a).await;
    let (b_down, b_up) = linked(&mut issuer, &b).await;
    let began = bed.clock.wall();
    bed.authority
        .revoke("ocelli://acme/site/dc1/a", began)
        .unwrap();
    let mut b_changes = b.store.changes();
    bed.clock.0.advance(Duration::from_secs(6));
    let closed = a_down.closed().await;
    assert_eq!((closed.code, closed.is_by_peer), (CloseCode::Revoked, true));
    assert!(bed.clock.wall().0 - began.0 <= 10_000);
    let error = a.dial(&issuer).await.err().unwrap();
    assert!(error.to_string().contains("revoked"), "{error}");
    // The list went on to the other node, which keeps it over a restart.
    let revoked = |store: &IdentityStore| -> usize {
        let trust = store.trust();
        trust.lists().iter().map(|list| list.serials().len()).sum()
    };
    while revoked(&b.store) == 0 {
        b_changes.changed().await.unwrap();
    }
    b_up.send_control(crate::frame::Control::CoverageEnd)
        .await
        .unwrap();
    b_down.receive().await.unwrap();
    assert_eq!(issuer.endpoint.links_open(), 1);
    let kept = |directory: &PathBuf| {
        directory
            .read_dir()
            .is_ok_and(|mut all| all.next().is_some())
    };
    while !kept(&b.settings.directory) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn who_is_revoked_between_hello_and_welcome_is_not_welcomed() {
    let mut bed = Bed::new();
    let mut region = bed.node(Tier::Region, "r1");
    let site = bed.node(Tier::Site, "a");
    let tls = site.store.client_config(Expected::Upstream).unwrap();
    let dial = site.endpoint.dial(region.address, &tls, facts());
    tokio::pin!(dial);
    let offer = tokio::select! {
        offer = region.offers.next() => offer.unwrap(),
        _ = &mut dial => panic!("no welcome yet"),
    };
    let word = "ocelli://acme/site/dc1/a";
    bed.authority.revoke(word, bed.clock.wall()).unwrap();
    let list = bed.authority.written_list().unwrap();
    region.store.accept_revocations(&list).unwrap();
    let (welcomed, dialled) = tokio::join!(offer.welcome(welcome()), dial);
    assert_eq!(welcomed.err().unwrap().code, CloseCode::Refused);
    let error = dialled.err().unwrap();
    let DialError::Greet { source, .. } = &error else {
        panic!("{error}");
    };
    let is_revoked = matches!(
        source,
        GreetError::Refused { code, .. } if *code == RefuseCode::Revoked
    );
    assert!(is_revoked, "{error}");
    assert_eq!(region.endpoint.links_open(), 0);
}

#[tokio::test]
async fn a_link_ends_with_the_certificate_of_its_peer() {
    let mut bed = Bed::new();
    let mut region = bed.node(Tier::Region, "r1");
    let site = bed.node(Tier::Site, "a");
    let (down, _up) = linked(&mut region, &site).await;
    let days = u64::from(CERTIFICATE_DAYS) + 1;
    bed.clock.0.advance(Duration::from_secs(days * 86_400));
    assert_eq!(down.closed().await.code, CloseCode::Revoked);
}

#[tokio::test]
async fn nodes_of_two_roots_link_while_both_are_trusted_and_are_cut_when_one_leaves() {
    let mut bed = Bed::new();
    let mut region = bed.node(Tier::Region, "r1");
    let old = bed.node(Tier::Site, "a");
    let mut next_root = TestMesh::new("acme", 9);
    let roots = vec![
        bed.authority.authority().root_pem().as_bytes().to_vec(),
        next_root.authority.root_pem().as_bytes().to_vec(),
    ];
    let with = |mut material: IdentityMaterial| {
        material.roots.clone_from(&roots);
        material
    };
    let material = IdentityMaterial::read(&region.settings).unwrap();
    region.store.replace(&with(material.clone())).unwrap();
    let new = with(next_root.node(Tier::Site, "dc1", "b"));
    let new_store = IdentityStore::new(&new, bed.clock.clone()).unwrap();
    let (old_down, _old_up) = linked(&mut region, &old).await;
    let tls = new_store.client_config(Expected::Upstream).unwrap();
    // The socket of another node will do: who it is, its certificate says.
    let place = tempfile::tempdir().unwrap();
    let settings = settings_in(&place);
    std::fs::write(&settings.roots[0], roots.concat()).unwrap();
    write_certificate(&settings.certificate, &new.certificate).unwrap();
    let key = String::from_utf8(new.key.expose().clone()).unwrap();
    write_key(&settings.key, &Secret::new(key)).unwrap();
    let new = bed.open(settings, place);
    let taken = async { region.offers.next().await.unwrap().welcome(welcome()).await };
    let (new_down, new_up) = tokio::join!(new.endpoint.dial(region.address, &tls, facts()), taken);
    let (new_down, _new_up) = (new_down.unwrap(), new_up.unwrap());
    // The new root leaves again: what it signed is cut, the other link stands.
    region.store.replace(&material).unwrap();
    assert_eq!(new_down.closed().await.code, CloseCode::Revoked);
    assert_eq!(region.endpoint.links_open(), 1);
    drop(old_down);
}

#[tokio::test]
async fn a_request_that_is_none_for_a_certificate_is_refused_without_a_link() {
    let mut bed = Bed::new();
    let issuer = bed.issuer();
    let (tls, mut request) = bed.stranger(Some(Secret::new("ocelli-join-x".to_owned())));
    request.csr = vec![0x30, 0];
    let asked = ask_to_sign(issuer.address, &tls, &request, &bed.clock()).await;
    let refused = matches!(asked, Err(AskError::Refused { code: 400, .. }));
    assert!(refused, "{asked:?}");
}
