//! Proof of `doctor`: each planted fault is told with its remedy, and a sound node has none.

use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use ocelli_federation::identity::{
    AuthorityDirectory, IssueOrder, NodeIdentity, NodeKey, Tier, Validity, write_key,
};
use ocelli_model::clock::{Rng, WallMs};

use super::*;
use crate::rng::RealRng;

/// A folder with an authority and the certificate of node `n1` of site `dc1`.
struct Bed {
    folder: tempfile::TempDir,
}

impl Bed {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("data")).unwrap();
        let bed = Self { folder };
        bed.issue("n1", (&[], 90));
        bed
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn issue(&self, node: &str, (speaks_for, days): (&[&str], u64)) {
        let (now, mut rng) = (RealClock.wall(), RealRng::default());
        let at = self.path("ca");
        let authority = match at.exists() {
            true => AuthorityDirectory::open(&at),
            false => AuthorityDirectory::init(&at, "acme", 400, (now, &mut rng)),
        };
        let order = IssueOrder {
            identity: NodeIdentity::new("acme", Tier::Site, "dc1", node).unwrap(),
            speaks_for: speaks_for.iter().map(|site| (*site).to_owned()).collect(),
            valid_for: Duration::from_secs(days * 86_400),
        };
        let key = NodeKey::generate().unwrap();
        let at = (now, &mut rng as &mut dyn Rng);
        let issued = authority.unwrap().issue_with_key(&key, order, at).unwrap();
        std::fs::write(self.path("node.pem"), issued.certificate_pem).unwrap();
        write_key(&self.path("node-key.pem"), &key.to_pem()).unwrap();
    }

    fn text(&self, more: &str) -> String {
        format!(
            "node = {{ mesh = \"acme\", site = \"dc1\", name = \"n1\", data_dir = {:?} }}\n\
             identity = {{ certificate = {:?}, key = {:?}, roots = [{:?}] }}\n{more}",
            self.path("data"),
            self.path("node.pem"),
            self.path("node-key.pem"),
            self.path("ca/root.pem"),
        )
    }

    async fn findings(&self, more: &str) -> Vec<Finding> {
        let listen = match more.contains("listen =") {
            true => "",
            false => "listen = { http = \"127.0.0.1:0\" }\n",
        };
        let text = self.text(&format!("{listen}{more}"));
        let mut sources = ocelli_config::Sources::new();
        sources.push(ocelli_config::Source::file("/etc/ocelli.toml", text));
        let options = ocelli_config::LoadOptions {
            hostname: "n1",
            is_strict: false,
        };
        let loaded = ocelli_config::load(sources, options);
        let loaded = loaded.unwrap_or_else(|error| panic!("{error}"));
        examine(&loaded, None).await
    }

    /// Exactly one finding that is not good: this check, this verdict, these words.
    async fn check(&self, more: &str, (check, verdict, words): (&str, Verdict, &str)) {
        let findings = self.findings(more).await;
        let bad = |one: &&Finding| one.verdict != Verdict::Good && one.check != "open_files";
        let bad: Vec<&Finding> = findings.iter().filter(bad).collect();
        let [one] = bad.as_slice() else {
            panic!("{more}: {bad:#?}");
        };
        assert_eq!((one.check, one.verdict), (check, verdict), "{one:?}");
        assert!(one.reason.contains(words), "{words:?} is not in {one:?}");
        assert!(!one.remedy.is_empty(), "{one:?}");
    }
}

#[actix_rt::test]
async fn a_sound_node_fails_no_check_and_leaves_nothing_behind() {
    let bed = Bed::new();
    let findings = bed.findings("").await;
    let fails = |one: &&Finding| one.verdict == Verdict::Failing;
    assert_eq!(findings.iter().find(fails), None);
    for check in [
        "config",
        "data_dir",
        "space",
        "clock",
        "listen.http",
        "http",
        "certificate",
    ] {
        assert!(
            findings.iter().any(|one| one.check == check),
            "no line {check}"
        );
    }
    assert_eq!(std::fs::read_dir(bed.path("data")).unwrap().count(), 0);
}

#[actix_rt::test]
async fn faults_of_the_identity_are_told_each_by_its_own_words() {
    use Verdict::{Failing, Warning};
    let bed = Bed::new();
    let mode = |bits| {
        let mode = std::fs::Permissions::from_mode(bits);
        std::fs::set_permissions(bed.path("node-key.pem"), mode).unwrap();
    };
    mode(0o644);
    bed.check("", ("identity", Failing, "chmod 600")).await;
    mode(0o600);
    bed.issue("n2", (&[], 90));
    bed.check("", ("identity", Failing, "but [node] says"))
        .await;
    bed.issue("n1", (&["dc9"], 90));
    bed.check("", ("identity", Failing, "not for its own site"))
        .await;
    bed.issue("n1", (&[], 10));
    bed.check("", ("certificate", Warning, "it ends in 9 days"))
        .await;
    bed.issue("n1", (&[], 90));
    // Another root of the same name: the chain does not hold.
    std::fs::rename(bed.path("ca"), bed.path("old")).unwrap();
    let kept = std::fs::read(bed.path("node.pem")).unwrap();
    let key = std::fs::read(bed.path("node-key.pem")).unwrap();
    bed.issue("n1", (&[], 90));
    std::fs::write(bed.path("node.pem"), kept).unwrap();
    std::fs::write(bed.path("node-key.pem"), key).unwrap();
    bed.check("", ("identity", Failing, "authority")).await;
    std::fs::remove_file(bed.path("node.pem")).unwrap();
    bed.check("", ("identity", Failing, "node.pem")).await;
    let ended = Validity::Expired {
        since: Duration::from_secs(200_000),
    };
    let told = identity::validity("n1", ended);
    assert_eq!(told.verdict, Failing);
    assert!(told.reason.contains("2 days ago"), "{told:?}");
}

#[actix_rt::test]
async fn ports_data_and_secrets_that_a_node_could_not_use_are_told() {
    use Verdict::{Failing, Warning};
    let bed = Bed::new();
    let (tcp, udp) = (
        TcpListener::bind("127.0.0.1:0").unwrap(),
        UdpSocket::bind("127.0.0.1:0").unwrap(),
    );
    let http = format!("listen = {{ http = \"{}\" }}", tcp.local_addr().unwrap());
    bed.check(&http, ("listen.http", Failing, "in use")).await;
    let quic = udp.local_addr().unwrap();
    let quic = format!("listen = {{ http = \"127.0.0.1:0\", quic = \"{quic}\" }}");
    bed.check(&quic, ("listen.quic", Failing, "in use")).await;
    let open = "http = { insecure = true }";
    bed.check(open, ("http", Warning, "insecure")).await;
    let secret = "credentials.snmp = [{ version = \"2c\", community = \
                  { file = \"/nonexistent/canary\" } }]";
    bed.check(secret, ("credentials", Failing, "/nonexistent/canary"))
        .await;
    let up = "upstream = [{ name = \"up\", connect = [\"no.such.name.invalid:7700\"] }]";
    bed.check(up, ("upstream", Failing, "cannot resolve")).await;
    std::fs::remove_dir(bed.path("data")).unwrap();
    std::fs::write(bed.path("data"), "a file").unwrap();
    // The folder of the identity lies in it, and is told too.
    let findings = bed.findings("").await;
    let told = findings.iter().find(|one| one.check == "data_dir").unwrap();
    assert_eq!(told.verdict, Failing);
    assert!(told.reason.contains("Not a directory"), "{told:?}");
}

#[test]
fn space_open_files_and_the_clock_are_judged_by_their_figures() {
    use Verdict::{Failing, Good, Warning};
    const GIB: u64 = 1 << 30;
    for (space, wanted, expected) in [
        ((GIB, 10 * GIB), None, Good),
        ((GIB, 10 * GIB), Some(9 * GIB), Good),
        ((GIB, 10 * GIB), Some(11 * GIB), Warning),
        ((GIB / 8, 10 * GIB), None, Failing),
    ] {
        let told = local::space_finding("data", space, wanted);
        assert_eq!(told.verdict, expected, "{told:?}");
    }
    for (limit, expected) in [(None, Good), (Some(4_096), Good), (Some(1_024), Warning)] {
        assert_eq!(
            local::open_files_finding(limit).verdict,
            expected,
            "{limit:?}"
        );
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("wal"), "x").unwrap();
    let now = RealClock.wall();
    assert_eq!(local::clock(folder.path(), now).verdict, Good);
    let told = local::clock(folder.path(), WallMs(now.0 - 3_600_000));
    assert_eq!(told.verdict, Failing);
    assert!(told.reason.contains("3600 s behind") || told.reason.contains("3599 s behind"));
}

#[test]
fn a_running_node_tells_what_is_wrong_and_nothing_else() {
    let check = |answers: Value, expected: &[(&str, Verdict, &str)]| {
        let told = running::judge(&answers);
        assert_eq!(told.len(), expected.len(), "{answers}: {told:#?}");
        for (one, (check, verdict, words)) in told.iter().zip(expected) {
            assert_eq!((one.check, one.verdict), (*check, *verdict), "{one:?}");
            let all = format!("{} {} {}", one.subject, one.reason, one.remedy);
            assert!(all.contains(words), "{words:?} is not in {one:?}");
        }
    };
    use Verdict::{Failing, Good, Warning};
    check(
        json!({ "status": { "version": "1.2.3", "bus": { "disk": "ok" } }, "links": [] }),
        &[("node", Good, "1.2.3")],
    );
    check(
        json!({
            "status": {
                "parked": { "cmdb": "no file" },
                "discovery": { "dns": { "state": "held", "reason": "lost 30 %" } },
                "bus": { "disk": "full" },
                "second_generations": [
                    { "site": "dc3", "node": "n1", "hint": "ocelli mesh adopt dc3" },
                ],
            },
            "links": [
                { "id": "up/world", "is_up": false, "for_ms": 9_000, "error": "no answer" },
                { "id": "down/dc1/n1", "is_up": false, "error": "gone" },
                { "id": "up/b", "is_up": true },
                { "id": "up/c", "is_up": true, "refused": { "reason": "scope", "detail": "dc7" } },
            ],
            "capacity": { "full_in_s": 3_600 },
        }),
        &[
            ("link", Failing, "up/world down for 9 s: no answer"),
            ("link", Warning, "mesh forget"),
            ("link", Failing, "(scope): dc7"),
            ("plugin", Failing, "no file"),
            ("discovery", Warning, "discovery diff dns"),
            ("disk", Failing, "full"),
            ("capacity", Warning, "60 min"),
            ("generation", Failing, "ocelli mesh adopt dc3"),
        ],
    );
}
