//! The command line as a reader of a node under `[http.tls]`: authorities, tokens, certificates,
//! named contexts.
//!
//! Does: run the built program as a user would, with a home of its own. Does not: look at lines
//! (`mesh`, `spine`).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use ocelli_tests::harness::process::{Running, tail};
use ocelli_tests::harness::{built_binary, free_tcp_port, wait_for};
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};

const TOKEN: &str = "a-token-that-nobody-prints-7f3a";

/// A node under TLS, its authority, a token and a client certificate, and a user's home.
struct Bed {
    folder: tempfile::TempDir,
    url: String,
    _node: Running,
}

fn issue(folder: &Path, name: &str, (names, usage): (&[&str], ExtendedKeyUsagePurpose)) {
    let key = KeyPair::from_pem(&std::fs::read_to_string(folder.join("ca-key.pem")).unwrap());
    let ca = std::fs::read_to_string(folder.join("ca.pem")).unwrap();
    let issuer = Issuer::from_ca_cert_pem(&ca, key.unwrap()).unwrap();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.extended_key_usages = vec![usage];
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    let file = |ending: &str| folder.join(format!("{name}{ending}.pem"));
    std::fs::write(file(""), certificate.pem()).unwrap();
    std::fs::write(file("-key"), key.serialize_pem()).unwrap();
}

fn authority(folder: &Path, name: &str) {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    std::fs::write(folder.join(format!("{name}.pem")), certificate.pem()).unwrap();
    std::fs::write(folder.join(format!("{name}-key.pem")), key.serialize_pem()).unwrap();
}

impl Bed {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        authority(at, "ca");
        authority(at, "other");
        let server = ["127.0.0.1", "localhost"];
        issue(at, "server", (&server, ExtendedKeyUsagePurpose::ServerAuth));
        issue(
            at,
            "anna",
            (&["anna.example"], ExtendedKeyUsagePurpose::ClientAuth),
        );
        std::fs::write(at.join("token"), format!("{TOKEN}\n")).unwrap();
        std::fs::write(at.join("wrong"), "another-token-of-no-use\n").unwrap();
        let port = free_tcp_port();
        let text = format!(
            "[node]\nname = \"n1\"\nsite = \"dc1\"\ndata_dir = {:?}\n\n\
             [listen]\nhttp = \"127.0.0.1:{port}\"\n\n\
             [http.tls]\ncert = \"server.pem\"\nkey = \"server-key.pem\"\n\
             client_ca = \"ca.pem\"\n\n\
             [[http.access]]\nname = \"script\"\ntoken = {{ file = {:?} }}\n\n\
             [[http.access]]\nname = \"anna\"\nsan = \"anna.example\"\n\n\
             [[polling]]\nname = \"host\"\nkind = \"host\"\nevery = \"1s\"\n",
            at.join("data"),
            at.join("token"),
        );
        std::fs::write(at.join("ocelli.toml"), text).unwrap();
        let mut command = Command::new(built_binary("ocelli"));
        command
            .args(["run", "--config"])
            .arg(at.join("ocelli.toml"));
        let node = Running::start("ocelli", command, at);
        let url = format!("https://localhost:{port}");
        let mut bed = Self {
            folder,
            url,
            _node: node,
        };
        bed.wait_for_values();
        bed
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn wait_for_values(&mut self) {
        wait_for("values over TLS", Duration::from_secs(30), || {
            assert!(!self._node.has_ended(), "{}", tail(&self._node.stderr()));
            let (code, out, _) = said(&self.ocelli(&self.values(&["--token-file", "token"]), &[]));
            (code == 0 && out.contains("host")).then_some(())
        });
    }

    /// `values` at the node, with these options; names of files are those of the bed.
    fn values(&self, options: &[&str]) -> Vec<String> {
        let base = ["values", "--at", &self.url, "--ca", &self.file("ca.pem")].map(str::to_owned);
        let options = options.iter().map(|option| match *option {
            option if option.starts_with("--") => option.to_owned(),
            name => self.file(name),
        });
        base.into_iter().chain(options).collect()
    }

    fn ocelli<S: AsRef<str>>(&self, arguments: &[S], environment: &[(&str, &str)]) -> Output {
        let mut command = Command::new(built_binary("ocelli"));
        let home: PathBuf = self.folder.path().join("home");
        for name in [
            "XDG_CONFIG_HOME",
            "OCELLI_URL",
            "OCELLI_CONTEXT",
            "OCELLI_CA",
        ] {
            command.env_remove(name);
        }
        command
            .args(arguments.iter().map(AsRef::as_ref))
            .env("HOME", home)
            .envs(environment.iter().copied())
            .current_dir(self.folder.path());
        command.output().unwrap()
    }
}

fn said(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(
        !out.contains(TOKEN) && !err.contains(TOKEN),
        "the token is printed"
    );
    (output.status.code().unwrap_or(-1), out, err)
}

#[test]
fn a_node_under_tls_is_read_with_its_authority_and_a_proof() {
    let bed = Bed::new();
    let check = |arguments: &[String], expected: (i32, &str)| {
        let (code, out, err) = said(&bed.ocelli(arguments, &[]));
        assert_eq!(code, expected.0, "{arguments:?}: {out} {err}");
        let is_told = out.contains(expected.1) || err.contains(expected.1);
        assert!(is_told, "{arguments:?}: {out} {err}");
    };
    check(&bed.values(&["--token-file", "token"]), (0, "dc1/"));
    let anna = ["--cert", "anna.pem", "--key", "anna-key.pem"];
    check(&bed.values(&anna), (0, "dc1/"));
    // Without a token loopback may read.
    check(&bed.values(&[]), (0, "dc1/"));
    check(&bed.values(&["--token-file", "wrong"]), (1, "not known"));
    check(&bed.values(&["--ca", "other.pem"])[..], (2, "--ca"));
    let elsewhere = |ca: Option<&str>| {
        let mut arguments = bed.values(&["--token-file", "token"]);
        match ca {
            Some(name) => arguments[4] = bed.file(name),
            None => drop(arguments.drain(3..5)),
        }
        arguments
    };
    check(&elsewhere(Some("other.pem")), (1, "--ca FILE"));
    check(&elsewhere(None), (1, "--ca FILE"));
    check(&elsewhere(Some("token")), (1, "no certificate is in it"));
    check(&elsewhere(Some("absent.pem")), (1, "absent.pem"));

    let (url, ca, token) = (&bed.url, bed.file("ca.pem"), bed.file("token"));
    let environment = [
        ("OCELLI_URL", url.as_str()),
        ("OCELLI_CA", &ca),
        ("OCELLI_TOKEN_FILE", &token),
    ];
    let one = ["subscribe", "--from", "latest", "--limit", "1"];
    let (code, out, err) = said(&bed.ocelli(&one, &environment));
    assert!(code == 0 && out.contains("\"resource\""), "{out} {err}");
}

#[test]
fn a_context_stands_for_address_and_files_and_shows_no_secret() {
    let bed = Bed::new();
    let run = |line: &str| {
        let arguments: Vec<&str> = line.split(' ').collect();
        said(&bed.ocelli(&arguments, &[]))
    };
    let set = format!(
        "context set lab --at {} --ca ca.pem --token-file token",
        bed.url
    );
    assert_eq!(run(&set).0, 0);
    let (code, _, err) = run("context use nowhere");
    assert!(code == 4 && err.contains("known: lab"), "{err}");
    assert_eq!(run("context use lab").0, 0);
    let (code, out, err) = run("values");
    assert!(code == 0 && out.contains("dc1/"), "{out} {err}");
    let (_, out, _) = run("context show -o json");
    assert!(
        out.contains("token_file") && out.contains(&bed.url),
        "{out}"
    );

    assert_eq!(run("context set here --at http://127.0.0.1:1").0, 0);
    let (code, _, err) = run("status --context here");
    assert!(code == 69 && err.contains("127.0.0.1:1"), "{err}");
    let here = [("OCELLI_CONTEXT", "here")];
    assert_eq!(said(&bed.ocelli(&["status"], &here)).0, 69);
    let (_, out, _) = run("context list");
    let marked = out.lines().find(|line| line.starts_with('*')).unwrap();
    assert!(marked.contains("lab") && out.contains("here"), "{out}");
    // An address that is given is asked without the files of the context in use.
    let (code, _, err) = run("status --at http://127.0.0.1:1");
    assert!(code == 69, "{err}");

    let (code, _, err) = run("context set bare");
    assert!(code == 2 && err.contains("no address"), "{err}");
    let (code, _, err) = run("context set x/y --at http://127.0.0.1:1");
    assert!(code == 2 && err.contains("cannot name"), "{err}");
    assert_eq!(run("context remove lab").0, 0);
    let (code, _, err) = run("context show");
    assert!(code == 4 && err.contains("no context is in use"), "{err}");
}
