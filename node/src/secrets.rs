//! The world that secrets come from: files, environment, service manager, commands.
//!
//! Does: run the command of `{ exec = […] }` in a process group of its own, cap its output, end it
//! at a deadline. Does not: decide which secrets are opened (`ocelli_config`).
//! In: a command line, never through a shell. Out: its standard output, or why there is none.
//! Limits: 10 s, [`SECRET_BYTES_MAX`] bytes; the environment is this process's own.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use ocelli_config::{ProcessSecrets, SECRET_BYTES_MAX};

/// A password manager that asks a person takes longer, but nobody sits at a daemon.
const DEADLINE: Duration = Duration::from_secs(10);

/// Runs a command: its standard output, or why there is none.
pub type Runner = fn(&[String]) -> Result<Vec<u8>, String>;

/// How this process opens secrets.
#[must_use]
pub fn process_secrets() -> ProcessSecrets<Runner> {
    ProcessSecrets {
        run: run_within_deadline,
    }
}

fn run_within_deadline(words: &[String]) -> Result<Vec<u8>, String> {
    run(words, DEADLINE)
}

fn run(words: &[String], deadline: Duration) -> Result<Vec<u8>, String> {
    let (program, arguments) = words.split_first().ok_or("the command is empty")?;
    let mut command = Command::new(program);
    command.args(arguments).process_group(0);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let child = command.spawn().map_err(|error| error.to_string())?;
    let group = child.id();
    // On a thread of its own, so that the deadline holds whatever the child does.
    let (sender, receiver) = sync_channel(1);
    std::thread::spawn(move || {
        let _nobody_waits_any_more = sender.send(read_to_end(child));
    });
    receiver.recv_timeout(deadline).unwrap_or_else(|_| {
        end_group(group);
        Err(format!("it took longer than {} s", deadline.as_secs_f32()))
    })
}

fn read_to_end(mut child: Child) -> Result<Vec<u8>, String> {
    let limit = u64::try_from(SECRET_BYTES_MAX)
        .unwrap_or(u64::MAX)
        .saturating_add(1);
    let mut output = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout
            .take(limit)
            .read_to_end(&mut output)
            .map_err(|error| error.to_string())?;
    }
    if output.len() > SECRET_BYTES_MAX {
        // Too long already, which the caller refuses; the rest would be waited for in vain.
        end_group(child.id());
        let _ended = child.wait();
        return Ok(output);
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    if status.success() {
        Ok(output)
    } else {
        Err(status.to_string())
    }
}

fn end_group(group: u32) {
    if let Ok(id) = i32::try_from(group) {
        let _it_has_ended_by_itself = killpg(Pid::from_raw(id), Signal::SIGKILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(script: &str) -> Vec<String> {
        ["sh", "-c", script].map(str::to_owned).to_vec()
    }

    #[test]
    fn a_command_gives_its_output_or_the_reason_why_not() {
        let check = |script: &str, expected: Result<&str, &str>| {
            let got = run(&words(script), Duration::from_secs(5));
            match (got, expected) {
                (Ok(got), Ok(expected)) => assert_eq!(got, expected.as_bytes(), "{script}"),
                (Err(got), Err(expected)) => assert!(got.contains(expected), "{script}: {got}"),
                (got, expected) => panic!("{script}: {got:?}, not {expected:?}"),
            }
        };
        check("printf secret", Ok("secret"));
        check("printf secret; exit 3", Err("exit status: 3"));
        check("printf secret >&2", Ok(""));
        assert!(run(&["/no/such/program".to_owned()], DEADLINE).is_err());
        assert!(run(&[], DEADLINE).is_err());
    }

    #[test]
    fn a_command_that_hangs_is_ended_with_its_children() {
        let got = run(&words("cat /dev/zero & sleep 60"), Duration::from_secs(5));
        assert_eq!(got.unwrap().len(), SECRET_BYTES_MAX + 1, "cut, not endless");
        let got = run(&words("sleep 60 & wait"), Duration::from_millis(50));
        assert!(got.unwrap_err().contains("longer than"));
    }
}
