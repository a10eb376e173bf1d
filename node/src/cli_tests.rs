//! Tests of the command line as a script sees it: exit code, stdout, stderr.

use std::cell::RefCell;
use std::io::Write;
use std::rc::Rc;

use super::*;

/// A stream that a test can look into.
#[derive(Clone, Default)]
pub(super) struct Kept(Rc<RefCell<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Kept {
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.borrow()).into_owned()
    }
}

/// Runs a command line; exit code, stdout, stderr.
pub(super) fn ocelli(arguments: &[&str]) -> (u8, String, String) {
    let (data, words) = (Kept::default(), Kept::default());
    let mut streams = Streams::new(Box::new(data.clone()), Box::new(words.clone()));
    let arguments = ["ocelli"].iter().chain(arguments);
    let exit = match Cli::try_parse_from(arguments) {
        Err(error) => refuse_usage(&error, &mut streams),
        Ok(cli) => run(cli.command, &mut streams).unwrap_or_else(|failure| streams.fail(&failure)),
    };
    (exit.code(), data.text(), words.text())
}

#[test]
fn the_definition_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_has_examples_in_its_help() {
    fn check(command: &clap::Command, path: &str) {
        for child in command
            .get_subcommands()
            .filter(|child| child.get_name() != "help")
        {
            let path = format!("{path} {}", child.get_name());
            if child.has_subcommands() {
                check(child, &path);
                continue;
            }
            let help = child
                .get_after_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            assert!(help.starts_with("Example"), "{path} has no examples");
            let name = child.get_name();
            assert!(
                help.contains(&format!("ocelli{}", &path["ocelli".len()..])),
                "{name}: {help}"
            );
            assert!(child.get_about().is_some(), "{path} has no summary");
        }
    }
    check(&Cli::command(), "ocelli");
}

#[test]
fn global_options_have_no_letters() {
    for argument in Cli::command()
        .get_arguments()
        .filter(|argument| argument.is_global_set())
    {
        assert_eq!(argument.get_short(), None, "{argument}");
    }
}

#[test]
fn help_and_version_are_data_and_mistakes_are_usage() {
    let (code, stdout, stderr) = ocelli(&["--version"]);
    assert_eq!((code, stdout.lines().count(), stderr.as_str()), (0, 1, ""));
    let (code, stdout, _) = ocelli(&["config", "check", "--help"]);
    assert!(code == 0 && stdout.contains("Examples:"), "{stdout}");
    let (code, stdout, stderr) = ocelli(&["confg"]);
    assert_eq!((code, stdout.as_str()), (2, ""));
    assert!(stderr.contains("config"), "{stderr}");
}

#[test]
fn completions_exist_for_each_shell() {
    for shell in ["bash", "zsh", "fish"] {
        let (code, stdout, _) = ocelli(&["completions", shell]);
        assert!(code == 0 && stdout.contains("config"), "{shell}");
    }
}

// === config ===

#[test]
fn config_check_tells_every_finding_and_exits_78() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.toml");
    let path_text = path.to_str().unwrap();
    let bad = "[[polling]]\nname = \"a\"\nkind = \"snpm\"\n[[polling]]\nname = \"b\"\n";
    std::fs::write(&path, bad).unwrap();
    let (code, stdout, stderr) = ocelli(&["config", "check", path_text]);
    assert_eq!((code, stdout.as_str()), (78, ""));
    assert!(
        stderr.contains("a.toml:3:") && stderr.contains("a.toml:4:"),
        "{stderr}"
    );
    let (code, stdout, _) = ocelli(&["config", "check", path_text, "-o", "json"]);
    let findings: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, findings.as_array().unwrap().len()), (78, 2));
    assert_eq!(findings[0]["line"], 3);
    std::fs::write(&path, "[[polling]]\nname = \"a\"\nkind = \"host\"\n").unwrap();
    let (code, _, stderr) = ocelli(&["config", "check", path_text]);
    assert!(
        code == 0 && stderr.contains("good: 0 discoveries"),
        "{stderr}"
    );
    let (code, _, stderr) = ocelli(&["config", "check", "/no/such/file"]);
    assert!(code == 78 && stderr.contains("/no/such/file"), "{stderr}");
    let (code, _, stderr) = ocelli(&["config", "check", path_text, "--set", "node.nam=x"]);
    assert!(
        code == 2 && stderr.contains("did you mean node.name?"),
        "{stderr}"
    );
}

#[test]
fn config_check_makes_each_plugin_and_names_the_key_that_forbids_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.toml");
    let snmp = "[[polling]]\nname = \"a\"\nkind = \"snmp\"\n";
    let check = |text: &str, line: usize, expected: &str| {
        std::fs::write(&path, format!("{snmp}{text}")).unwrap();
        let (code, _, stderr) = ocelli(&["config", "check", path.to_str().unwrap()]);
        assert_eq!(code, 78, "{text}: {stderr}");
        let place = format!("a.toml:{line}:");
        assert!(
            stderr.contains(&place) && stderr.contains(expected),
            "{text}: {stderr}"
        );
    };
    let good = "profile = \"interfaces\"\n";
    check("profile = \"interface\"\n", 4, "did you mean");
    check(
        &format!("{good}rows = 'colour = \"red\"'\n"),
        5,
        "fits no group",
    );
    check(
        &format!("{good}tags = {{ alias = \"x\" }}\n"),
        5,
        "\"alias\" is a dimension",
    );
    check(
        &format!("{good}[polling.tags]\nalias = \"x\"\n"),
        5,
        "rename the tag",
    );
}

#[test]
fn config_check_opens_secrets_when_asked() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.toml");
    let secret = "community = { env = \"OCELLI_NO_SUCH_VARIABLE\" }\n";
    let text = format!("[[credentials.snmp]]\nname = \"c\"\nversion = \"2c\"\n{secret}");
    std::fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap();
    assert_eq!(ocelli(&["config", "check", path]).0, 0);
    let (code, _, stderr) = ocelli(&["config", "check", path, "--secrets"]);
    assert!(
        code == 78 && stderr.contains("OCELLI_NO_SUCH_VARIABLE"),
        "{stderr}"
    );
}

#[test]
fn check_show_and_diff_take_a_configuration_in_one_way() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.toml");
    std::fs::write(&path, "[node]\nname = \"n7\"\n").unwrap();
    let path = path.to_str().unwrap();
    for command in ["check", "show", "diff"] {
        let more: &[&str] = if command == "diff" {
            &["--against", path]
        } else {
            &[]
        };
        let run = |given: &[&str]| ocelli(&[&["config", command], given, more].concat());
        for given in [
            &[path][..],
            &["--config", path],
            &[path, "--set", "node.name=n8"],
        ] {
            let (code, _, stderr) = run(given);
            assert_eq!(code, 0, "{command} {given:?}: {stderr}");
        }
        let (code, _, stderr) = run(&[path, "--config", path]);
        assert!(code == 2 && stderr.contains("cannot be used"), "{stderr}");
        let (code, help, _) = ocelli(&["config", command, "--help"]);
        let example = format!("ocelli config {command} ocelli.toml");
        assert!(code == 0 && help.contains(&example), "{help}");
    }
    let (code, stdout, _) = ocelli(&["config", "show", path, "--set", "node.name=n8"]);
    assert!(code == 0 && stdout.contains("n8"), "{stdout}");
}

const RESOURCES: &str = "\
[[discovery]]
name = \"by-hand\"
kind = \"static\"
[[discovery.resource]]
id = \"sw1\"
endpoint = \"10.0.0.1\"
[[discovery.resource]]
id = \"sw1\"
site = \"other\"
endpoint = \"10.0.0.2\"
[[device]]
filter = 'resource_endpoint = \"10.0.0.2\"'
retries = 0
";

#[test]
fn config_show_names_the_place_of_each_value_of_a_resource() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.toml");
    std::fs::write(&path, RESOURCES).unwrap();
    let path = path.to_str().unwrap();
    let show = |resource: &str| {
        ocelli(&[
            "config",
            "show",
            "--config",
            path,
            "--resource",
            resource,
            "-o",
            "json",
        ])
    };
    let (code, stdout, stderr) = show("other/sw1");
    assert_eq!(code, 0, "{stderr}");
    let values: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    let values = values.as_array().unwrap();
    let retries = values
        .iter()
        .find(|value| value["key"] == "snmp.retries")
        .unwrap();
    assert_eq!(retries["value"], "0");
    assert_eq!(retries["from"], format!("{path}:13:1"));
    let (code, _, stderr) = show("sw1");
    assert!(
        code == 2 && stderr.contains("name of 2 resources"),
        "{stderr}"
    );
    assert_eq!(show("sw2").0, 4);
    assert_eq!(show("10.0.0.1").0, 0);
    let (code, stdout, _) = ocelli(&["config", "show", "--config", path]);
    assert!(
        code == 0 && stdout.contains("bus.retention") && stdout.contains("default"),
        "{stdout}"
    );
}

#[test]
fn config_diff_tells_changes_and_what_takes_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let old = write("old.toml", "[snmp]\nretries = 1\n");
    let new = write(
        "new.toml",
        "[snmp]\nretries = 2\n[listen]\nhttp = \"[::1]:1\"\n",
    );
    let (code, stdout, stderr) = ocelli(&["config", "diff", "--config", &new, "--against", &old]);
    assert_eq!(code, 0);
    assert!(stdout.contains("~ snmp.retries: 1 -> 2"), "{stdout}");
    assert!(stderr.contains("takes a restart: listen.http"), "{stderr}");
    let data_dir = format!("node.data_dir={}", directory.path().display());
    let against_copy = ["config", "diff", "--config", &new, "--set", &data_dir];
    assert_eq!(ocelli(&against_copy).0, 4);
    let mut sources = ocelli_config::Sources::new();
    sources.push(ocelli_config::Source::file(
        &new,
        std::fs::read_to_string(&new).unwrap(),
    ));
    ocelli_config::write_last_good(directory.path(), &sources).unwrap();
    let (code, stdout, stderr) = ocelli(&against_copy);
    assert_eq!(
        (code, stdout.as_str(), stderr.as_str()),
        (0, "", "no difference\n")
    );
}

// === A node, or none ===

#[test]
fn nobody_listens_is_69_and_names_the_address() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let commands: [&[&str]; 6] = [
        &["resources", "list"],
        &["plugins", "get", "x"],
        &["gaps", "list"],
        &["values"],
        &["subscribe"],
        &["status"],
    ];
    for command in commands {
        let arguments = [command, &["--at", &url]].concat();
        let (code, stdout, stderr) = ocelli(&arguments);
        assert_eq!((code, stdout.as_str()), (69, ""), "{command:?} {stderr}");
        assert!(stderr.contains(&url), "{stderr}");
    }
    for (at, expected) in [
        ("ftp://x", "none of http, https and quic"),
        ("quic://127.0.0.1:1", "`subscribe` only"),
        ("https://anna:geheim@x", "no user and no password"),
    ] {
        let (code, _, stderr) = ocelli(&["status", "--at", at]);
        assert!(code == 2 && stderr.contains(expected), "{at}: {stderr}");
        assert!(!stderr.contains("geheim"), "{stderr}");
    }
    let both = ["status", "--at", &url, "--context", "lab"];
    let (code, _, stderr) = ocelli(&both);
    assert!(code == 2 && stderr.contains("leave one"), "{stderr}");
    let one = [
        "status",
        "--at",
        "https://127.0.0.1:1",
        "--cert",
        "/no/such",
    ];
    let (code, _, stderr) = ocelli(&one);
    assert!(code == 2 && stderr.contains("belong together"), "{stderr}");
    let (code, _, stderr) = ocelli(&["status", "--at", &url, "--token-file", "/no/such"]);
    assert!(code == 1 && stderr.contains("/no/such"), "{stderr}");
}

/// Answers each connection once with the next of `answers`; the request lines come back.
fn node_that_answers(
    answers: Vec<(&'static str, String)>,
) -> (String, std::thread::JoinHandle<Vec<String>>) {
    use std::io::{BufRead, BufReader};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let served = std::thread::spawn(move || {
        let mut requests = Vec::new();
        for (status, body) in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            requests.push(lines.next().unwrap().unwrap());
            while !lines.next().unwrap().unwrap().is_empty() {}
            let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\n\r\n");
            stream.write_all((head + &body).as_bytes()).unwrap();
        }
        requests
    });
    (url, served)
}

#[test]
fn a_list_is_read_page_by_page_and_a_cut_one_is_partial() {
    let page = |id: &str, next: &str| {
        let resource = format!("{{\"resource_endpoint\":\"{id}.example\"}}");
        let gap = "{\"plugin\":\"p\",\"gap_cause\":\"timeout\"}";
        let item = format!("{{\"id\":\"{id}\",\"resource\":{resource},\"plugins\":[{gap}]}}");
        ("200 OK", format!("{{\"items\":[{item}],\"next\":{next}}}"))
    };
    let (url, served) = node_that_answers(vec![page("a", "\"a\""), page("b", "null")]);
    let (code, stdout, stderr) = ocelli(&["resources", "list", "--at", &url, "-l", "x = \"1\""]);
    assert_eq!(code, 0, "{stderr}");
    assert!(
        stdout.contains("a.example") && stdout.contains("p: timeout"),
        "{stdout}"
    );
    let requests = served.join().unwrap();
    assert!(requests[0].contains("filter=x+%3D+%221%22"), "{requests:?}");
    assert!(requests[1].contains("after=a"), "{requests:?}");

    let (url, served) = node_that_answers(vec![page("a", "\"a\"")]);
    let (code, stdout, stderr) = ocelli(&[
        "resources",
        "list",
        "--at",
        &url,
        "--limit",
        "1",
        "-o",
        "json",
    ]);
    assert_eq!(code, 3, "{stderr}");
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&stdout).unwrap()["items"][0]["id"],
        "a"
    );
    assert!(served.join().unwrap()[0].contains("limit=1"));
}

#[test]
fn what_a_node_refuses_is_told_in_its_words() {
    let error = |code: &str| {
        format!(
            "{{\"error\":{{\"code\":\"{code}\",\"message\":\"no x here\",\"hint\":\"try y\"}}}}"
        )
    };
    let check = |status: &'static str, expected: u8| {
        let (url, served) = node_that_answers(vec![(status, error("e"))]);
        let (code, _, stderr) = ocelli(&["resources", "get", "x", "--at", &url]);
        assert_eq!(code, expected, "{stderr}");
        assert!(
            stderr.contains("no x here") && stderr.contains("hint: try y"),
            "{stderr}"
        );
        served.join().unwrap();
    };
    check("404 Not Found", 4);
    check("400 Bad Request", 2);
    check("503 Service Unavailable", 69);
    check("500 Internal Server Error", 1);
    let (url, served) = node_that_answers(vec![("200 OK", "no json".to_owned())]);
    let (code, _, stderr) = ocelli(&["status", "--at", &url]);
    assert!(code == 1 && stderr.contains("no JSON"), "{stderr}");
    served.join().unwrap();
}

#[test]
fn a_subscription_ends_after_its_lines_or_with_the_node() {
    let lines = || vec![("200 OK", "{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n".to_owned())];
    let (url, served) = node_that_answers(lines());
    let (code, stdout, _) = ocelli(&["subscribe", "--at", &url, "--limit", "2", "--from", "-15m"]);
    assert_eq!((code, stdout.as_str()), (0, "{\"a\":1}\n{\"a\":2}\n"));
    assert!(served.join().unwrap()[0].contains("from=-15m&format=ndjson"));
    let (url, served) = node_that_answers(lines());
    let (code, stdout, stderr) = ocelli(&["subscribe", "--at", &url]);
    assert_eq!((code, stdout.lines().count()), (0, 3));
    assert!(stderr.contains("ended the subscription"), "{stderr}");
    served.join().unwrap();
}

#[test]
fn values_are_shown_with_their_dimensions_and_age() {
    let item = serde_json::json!({
        "resource": "r", "group": "interface", "metric": "bits_in", "value": 1.5, "age_ms": 7,
        "dimensions": { "interface_name": "e0", "mtu": 1500 },
    });
    let body = format!("{{\"items\":[{item}],\"next\":null}}");
    let (url, served) = node_that_answers(vec![("200 OK", body)]);
    let (code, stdout, stderr) = ocelli(&["values", "--at", &url, "--metric", "bits_in"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(
        stdout.contains("interface_name=e0 mtu=1500") && stdout.contains("1.5"),
        "{stdout}"
    );
    assert!(served.join().unwrap()[0].contains("metric=bits_in"));
}
