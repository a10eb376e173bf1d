//! Secrets: the five forms, what opening them says, and that a canary never shows (promise P16).

use std::path::Path;

use ocelli_config::{
    LoadOptions, ProcessSecrets, SECRET_BYTES_MAX, SecretError, SecretSource, SnmpVersion,
    effective, load, open_credentials, show,
};

use crate::{OPTIONS, read_files, sources_of};

const CANARY: &str = "k4n4ry-p4ssphr4se";

fn credential(secret: &str) -> String {
    format!("[[credentials.snmp]]\nname = \"c\"\nversion = \"2c\"\ncommunity = {secret}\n")
}

/// A table in place of the world.
struct Table(Result<Vec<u8>, fn() -> SecretError>);

impl Table {
    fn answer(&self) -> Result<Vec<u8>, SecretError> {
        self.0.clone().map_err(|error| error())
    }
}

impl SecretSource for Table {
    fn file(&self, _: &Path) -> Result<Vec<u8>, SecretError> {
        self.answer()
    }
    fn environment(&self, _: &str) -> Result<Vec<u8>, SecretError> {
        self.answer()
    }
    fn exec(&self, _: &[String]) -> Result<Vec<u8>, SecretError> {
        self.answer()
    }
    fn credential(&self, _: &str) -> Result<Vec<u8>, SecretError> {
        self.answer()
    }
}

#[test]
fn each_form_is_read_and_only_written_ones_are_warned_about() {
    let check = |secret: &str, warnings: usize| {
        let loaded = read_files(&[&credential(secret)]).unwrap();
        assert_eq!(loaded.parked, [], "{secret}");
        assert_eq!(loaded.warnings.len(), warnings, "{secret}");
        let opened = open_credentials(&loaded.config, &Table(Ok(CANARY.into())));
        let SnmpVersion::V2c { community } = &opened.snmp[0].version else {
            panic!("not v2c")
        };
        assert_eq!(community.expose(), CANARY, "{secret}");
    };
    check("{ file = \"/x\" }", 0);
    check("{ env = \"X\" }", 0);
    check("{ exec = [\"pass\", \"show\"] }", 0);
    check("{ credential = \"x\" }", 0);
    check(&format!("{{ value = {CANARY:?} }}"), 1);
    check(&format!("{CANARY:?}"), 1);
}

#[test]
fn what_is_no_form_of_a_secret_is_refused() {
    let check = |secret: &str, part: &str| {
        let parked = read_files(&[&credential(secret)]).unwrap().parked;
        let shown = parked
            .first()
            .unwrap_or_else(|| panic!("{secret}"))
            .problems[0]
            .to_string();
        assert!(shown.contains(part), "{shown}");
        assert!(!shown.contains(CANARY), "{shown}");
    };
    check("{ }", "0 keys");
    check("{ file = \"a\", env = \"b\" }", "2 keys");
    check(&format!("{{ fil = {CANARY:?} }}"), "no such form");
    check("{ env = 1 }", "not of the right kind");
    check("{ exec = \"sh -c x\" }", "not of the right kind");
    check("{ exec = [] }", "not of the right kind");
    check("{ credential = \"../x\" }", "not of the right kind");
    check("17", "found an integer");
    check(&format!("[{CANARY:?}]"), "found an array");
}

#[test]
fn a_variable_inside_a_string_is_pointed_to_its_form() {
    let warnings = read_files(&[&credential("\"${COMMUNITY}\"")])
        .unwrap()
        .warnings;
    assert!(
        warnings[0].to_string().contains("not expanded"),
        "{}",
        warnings[0]
    );
}

#[test]
fn opening_tells_each_failure_without_the_secret() {
    let loaded = read_files(&[&credential("{ file = \"/etc/ocelli/c\" }")]).unwrap();
    let check = |answer: Result<Vec<u8>, fn() -> SecretError>, part: &str| {
        let opened = open_credentials(&loaded.config, &Table(answer));
        let (name, error) = opened.failed.first().expect("fails");
        assert_eq!((name.as_str(), opened.snmp.len()), ("c", 0));
        assert!(error.to_string().contains(part), "{error}");
        assert!(!error.to_string().contains(CANARY), "{error}");
    };
    check(Ok(b" \n".to_vec()), "is empty");
    check(Ok(vec![b'a'; SECRET_BYTES_MAX + 1]), "longer than");
    check(Ok(vec![b'a'; 300]), "255 bytes");
    check(Ok([CANARY.as_bytes(), &[0xff]].concat()), "not UTF-8");
    check(
        Err(|| SecretError::Environment {
            name: "X".to_owned(),
        }),
        "has no X",
    );
}

#[test]
fn a_line_break_at_the_end_is_dropped_once() {
    let loaded = read_files(&[&credential("{ file = \"/x\" }")]).unwrap();
    let open = |content: &str| {
        let mut opened = open_credentials(&loaded.config, &Table(Ok(content.into())));
        let SnmpVersion::V2c { community } = opened.snmp.remove(0).version else {
            panic!()
        };
        community.expose().clone()
    };
    assert_eq!(open("public\n"), "public");
    assert_eq!(open("public\r\n"), "public");
    assert_eq!(open("public\n\n"), "public\n");
    assert_eq!(open(" public"), " public");
}

#[test]
fn a_passphrase_below_eight_bytes_parks_its_credential() {
    let text = "[[credentials.snmp]]\nversion = \"3\"\nuser = \"u\"\n\
                auth = { protocol = \"SHA-256\", secret = { env = \"A\" } }\n";
    let loaded = read_files(&[text]).unwrap();
    let opened = open_credentials(&loaded.config, &Table(Ok(b"1234567".to_vec())));
    assert_eq!(opened.failed[0].0, "credentials.snmp 1");
    assert!(opened.failed[0].1.to_string().contains("less than 8 bytes"));
    assert_eq!(
        open_credentials(&loaded.config, &Table(Ok(b"12345678".to_vec())))
            .snmp
            .len(),
        1
    );
}

#[test]
fn privacy_without_authentication_is_refused() {
    let text = "[[credentials.snmp]]\nversion = \"3\"\nuser = \"u\"\n\
                priv = { protocol = \"AES-128\", secret = { env = \"A\" } }\n";
    let parked = read_files(&[text]).unwrap().parked;
    assert!(parked[0].problems[0].reason.contains("priv without auth"));
}

#[test]
fn the_process_opens_files_variables_and_commands() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("secret");
    std::fs::write(&path, CANARY).unwrap();
    let process = ProcessSecrets {
        run: |words: &[String]| Ok(words.join(" ").into_bytes()),
    };
    assert_eq!(process.file(&path).unwrap(), CANARY.as_bytes());
    assert_eq!(
        process.exec(&["a".to_owned(), "b".to_owned()]).unwrap(),
        b"a b"
    );
    assert_eq!(
        process.environment("CARGO_PKG_NAME").unwrap(),
        b"ocelli-config".as_slice()
    );
    let missing = process
        .file(&directory.path().join("none"))
        .unwrap_err()
        .to_string();
    assert!(missing.contains("check its path and mode"), "{missing}");
    assert!(process.environment("OCELLI_NO_SUCH_VARIABLE").is_err());
    assert!(process.credential("none").is_err());
    let failing = ProcessSecrets {
        run: |_: &[String]| Err("exit status 1".to_owned()),
    };
    let error = failing
        .exec(&["pass".to_owned(), CANARY.to_owned()])
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("exit status 1") && !error.contains(CANARY),
        "{error}"
    );
}

/// The canary stands wherever a credential takes or could be thought to take a secret.
#[test]
fn the_canary_is_in_no_output() {
    let v3 = |rest: &str| format!("[[credentials.snmp]]\nversion = \"3\"\nuser = \"u\"\n{rest}\n");
    let texts = [
        credential(&format!("{CANARY:?}")),
        credential(&format!("\"{CANARY}")),
        credential(CANARY),
        credential(&format!("{{ value = {CANARY:?}, file = \"x\" }}")),
        credential(&format!("{{ {CANARY} = 1 }}")).replace('-', "="),
        format!("[[credentials.snmp]]\nversion = \"2c\"\ncomunity = {CANARY:?}\n"),
        format!("[[credentials.snmp]]\nversion = {CANARY:?}\n"),
        format!("[[credentials.snmp]]\nversion = \"2c\"\ncommunity = \"\"\"\n{CANARY}\n"),
        format!("[snmp]\ncommunity = {CANARY:?}\n"),
        format!("[snmp]\ntimeout = 1\npassphrase = {CANARY:?}\n"),
        v3(&format!("auth = {CANARY:?}")),
        v3(&format!(
            "auth = {{ protocol = \"SHA\", secret = {CANARY:?} }}"
        )),
        v3(&format!(
            "auth = {{ protocol = \"SHX\", secret = {CANARY:?} }}"
        )),
        v3(&format!(
            "auth = {{ protocol = \"SHA\", secret = {CANARY:?}, x = 1 }}"
        )),
        v3(&format!(
            "priv = {{ protocol = \"DES\", secret = {CANARY:?} }}"
        )),
        v3(&format!(
            "auth = {{ protocol = \"SHA\", secret = {{ value = {CANARY:?} }}, }} }}"
        )),
    ];
    for text in texts {
        for is_strict in [false, true] {
            let shown = match load(
                sources_of(&[&text]),
                LoadOptions {
                    is_strict,
                    ..OPTIONS
                },
            ) {
                Err(invalid) => format!("{invalid} {invalid:?}"),
                Ok(loaded) => format!(
                    "{:?} {:?} {:?} {:?} {:?}",
                    loaded.config,
                    loaded.parked,
                    loaded.warnings,
                    show(&loaded.config),
                    effective(&loaded, |_| true),
                ),
            };
            assert!(!shown.contains(CANARY), "{text}\n{shown}");
            assert!(!shown.contains("k4n4"), "{text}\n{shown}");
        }
    }
}

#[test]
fn protocols_are_known_by_each_spelling_that_people_use() {
    let check = |auth: &str, privacy: &str, expected: usize| {
        let text = format!(
            "[[credentials.snmp]]\nversion = \"3\"\nuser = \"u\"\n\
             auth = {{ protocol = {auth:?}, secret = {{ env = \"A\" }} }}\n\
             priv = {{ protocol = {privacy:?}, secret = {{ env = \"B\" }} }}\n"
        );
        let loaded = read_files(&[&text]).unwrap();
        assert_eq!(
            loaded.config.snmp_credentials.len(),
            expected,
            "{auth} {privacy}"
        );
    };
    for (auth, privacy) in [
        ("SHA", "AES"),
        ("sha1", "aes128"),
        ("SHA-1", "AES-256-C"),
        ("md5", "DES"),
    ] {
        check(auth, privacy, 1);
    }
    check("SHA-3", "AES", 0);
    check("SHA", "3DES", 0);
}
