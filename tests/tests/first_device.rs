//! "Your first device": `ocelli init` against snmpd writes a file that `ocelli run` takes.
//!
//! Does: what the README tells a new user, word for word, with a real agent.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;
use std::time::Duration;

use ocelli_tests::harness::http::Client;
use ocelli_tests::harness::process::{Running, tail};
use ocelli_tests::harness::snmpd::{COMMUNITY, Snmpd};
use ocelli_tests::harness::{built_binary, free_tcp_port, wait_for};
use tempfile::tempdir;

#[test]
fn init_tries_the_credential_and_run_polls_the_device_with_what_it_wrote() {
    let folder = tempdir().unwrap();
    let agent = Snmpd::start(folder.path());
    let config = folder.path().join("ocelli.toml");
    let mut init = Command::new(built_binary("ocelli"));
    init.args([
        "init",
        "--device",
        &agent.address(),
        "--community",
        "env:C",
        "--out",
    ])
    .arg(&config);
    let output = init.env("C", COMMUNITY).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("ocelli-test-host"),
        "it says what answered: {said}"
    );

    let text = std::fs::read_to_string(&config).unwrap();
    assert!(
        !text.contains(COMMUNITY),
        "the secret stays in the environment"
    );
    assert!(
        text.lines().any(|line| line.trim_start().starts_with('#')),
        "the file is commented"
    );

    let port = free_tcp_port();
    let mut run = Command::new(built_binary("ocelli"));
    run.args(["run", "--config"])
        .arg(&config)
        .env("C", COMMUNITY);
    run.arg("--set").arg(format!(
        "node.data_dir={}",
        folder.path().join("data").display()
    ));
    run.arg("--set")
        .arg(format!("listen.http=127.0.0.1:{port}"));
    let mut running = Running::start("ocelli", run, folder.path());
    let client = Client::new(port);
    let polled = wait_for("values of the device", Duration::from_secs(90), || {
        assert!(!running.has_ended(), "{}", tail(&running.stderr()));
        let (status, text) = client.get("/v1/values")?;
        (status == 200 && text.contains("bits_in") && text.contains("\"lo\"")).then_some(text)
    });
    assert!(!polled.contains(COMMUNITY));
}

#[test]
fn init_refuses_a_silent_device_and_a_file_that_is_there() {
    let folder = tempdir().unwrap();
    let config = folder.path().join("ocelli.toml");
    let port = ocelli_tests::harness::free_udp_port();
    let init = || {
        let mut init = Command::new(built_binary("ocelli"));
        init.args([
            "init",
            "--device",
            &format!("127.0.0.1:{port}"),
            "--community",
            "env:C",
        ]);
        init.arg("--out")
            .arg(&config)
            .env("C", COMMUNITY)
            .output()
            .unwrap()
    };
    let output = init();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && !config.exists(), "{said}");
    assert!(!said.contains(COMMUNITY), "{said}");
    std::fs::write(&config, "# mine\n").unwrap();
    assert!(!init().status.success());
    assert_eq!(
        std::fs::read_to_string(&config).unwrap(),
        "# mine\n",
        "left as it was"
    );
}
