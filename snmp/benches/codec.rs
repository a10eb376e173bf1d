//! How far is decoding from walking the bytes unchecked? Decides whether the reader needs work.
//!
//! Does: decode a response of 50 `Counter64` (1,183 bytes; more with v3) over and over, print M
//! varbinds per CPU-second and the ratio to a hand-written walk of the same run, best of 3.
//! Does not: sockets. In: nothing. Out: lines for people.

#![expect(clippy::unwrap_used, reason = "a bench: a failure is the report")]
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use ocelli_model::clock::Monotonic;
use ocelli_snmp::ber::BackWriter;
use ocelli_snmp::message::{CommunityMessage, Template, Version, write_response};
use ocelli_snmp::oid::EncodedOid;
use ocelli_snmp::pdu::{PduHead, Request, RequestId, RequestKind};
use ocelli_snmp::usm::{
    AuthProtocol, Credentials, EngineId, MasterKeyCache, PrivacyProtocol, UsmUser,
};
use ocelli_snmp::v3::{Authority, AuthorityReceived, Layout, Outgoing, Peer, Received};
use ocelli_snmp::value::{Value, Varbind, Varbinds};

/// Varbinds in the message.
const VARBINDS: u64 = 50;
/// CPU time of one measurement.
const MEASURE: Duration = Duration::from_millis(400);
/// Measurements of which the best counts.
const ROUNDS: usize = 3;

fn cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)
        .unwrap()
        .into()
}

/// Calls per CPU-second, best of [`ROUNDS`].
fn rate(mut call: impl FnMut()) -> f64 {
    let mut best = 0.0_f64;
    for _ in 0..ROUNDS {
        let (start, mut calls) = (cpu(), 0_u32);
        let mut elapsed = Duration::ZERO;
        while elapsed < MEASURE {
            (0..256).for_each(|_| call());
            calls += 256;
            elapsed = cpu() - start;
        }
        best = best.max(f64::from(calls) / elapsed.as_secs_f64());
    }
    best
}

fn names() -> Vec<EncodedOid> {
    let name = |column: u64, index: u64| {
        let text = format!("1.3.6.1.2.1.31.1.1.1.{}.{}", 6 + column % 5, index);
        EncodedOid::new(&text.parse().unwrap()).unwrap()
    };
    (0..VARBINDS)
        .map(|number| name(number, 1 + number / 5))
        .collect()
}

fn write_varbinds(writer: &mut BackWriter<'_>) {
    for (number, name) in names().iter().enumerate().rev() {
        let value = Value::Counter64(0x12_3456_789a + number as u64 * 0x1_0000_0001);
        Varbind {
            name: name.as_oid_ref(),
            value,
        }
        .write(writer);
    }
}

fn sum(varbinds: Varbinds<'_>) -> u64 {
    varbinds.flatten().fold(0, |sum, bind| {
        let index = bind.name.as_ber().last().copied().unwrap_or(0);
        sum.wrapping_add(bind.value.as_u64().unwrap_or(0))
            .wrapping_add(index.into())
    })
}

/// The ceiling: trusts every length and tag.
fn walk_unchecked(message: &[u8], first: usize) -> u64 {
    let (mut at, mut sum) = (first, 0_u64);
    while at < message.len() {
        let name = at + 4;
        let name_end = name + usize::from(message[at + 3]);
        let value = name_end + 2;
        let end = value + usize::from(message[name_end + 1]);
        let number = message[value..end]
            .iter()
            .fold(0_u64, |sum, octet| sum << 8 | u64::from(*octet));
        sum = sum
            .wrapping_add(number)
            .wrapping_add(message[name_end - 1].into());
        at = end;
    }
    sum
}

fn report(what: &str, calls: f64, baseline: f64) {
    let varbinds = calls * VARBINDS as f64 / 1e6;
    println!(
        "{what:<34} {varbinds:8.1} M varbinds/s   {:5.2} of baseline",
        calls / baseline
    );
}

fn community() -> f64 {
    let mut buffer = [0; 4_000];
    let mut writer = BackWriter::new(&mut buffer);
    write_varbinds(&mut writer);
    let list = writer.written();
    write_response(
        &mut writer,
        0,
        Version::V2c,
        b"public",
        &PduHead::response(0x4000_0001),
    );
    let message = writer.finish().unwrap().to_vec();
    let first = message.len() - list;
    println!("message of {} bytes, {VARBINDS} Counter64", message.len());
    let expected = walk_unchecked(&message, first);
    let baseline = rate(|| {
        assert_eq!(
            walk_unchecked(black_box(&message), black_box(first)),
            expected
        );
    });
    report("unchecked walk (baseline)", baseline, baseline);
    let decode = rate(|| {
        let read = CommunityMessage::decode(black_box(&message)).unwrap();
        assert_eq!(sum(read.pdu.standard().unwrap().varbinds()), expected);
    });
    report("v2c decode", decode, baseline);
    let mut target = [0; 4_000];
    let names = names();
    let encode = rate(|| {
        let mut writer = BackWriter::new(black_box(&mut target));
        for name in names.iter().rev() {
            let value = Value::Counter64(0x12_3456_789a);
            Varbind {
                name: name.as_oid_ref(),
                value,
            }
            .write(&mut writer);
        }
        write_response(
            &mut writer,
            0,
            Version::V2c,
            b"public",
            &PduHead::response(0x4000_0001),
        );
        black_box(writer.finish().unwrap());
    });
    report("v2c encode of the response", encode, baseline);
    let kind = RequestKind::GetBulk {
        non_repeaters: 0,
        max_repetitions: 10,
    };
    let request = Request {
        kind,
        id: RequestId::from_bits(1),
        names: &names[..5],
    };
    let mut template = Template::new(Version::V2c, b"public", &request).unwrap();
    let mut bits = 0;
    let patched = rate(|| {
        bits += 1;
        black_box(template.with_id(RequestId::from_bits(bits)));
    });
    println!(
        "GETBULK of 5 names from a template {:8.1} ns",
        1e9 / patched
    );
    baseline
}

fn protected(baseline: f64, auth: AuthProtocol, privacy: PrivacyProtocol) {
    let credentials = Credentials {
        user: b"monitor",
        auth: Some((auth, b"auth password")),
        privacy: Some((privacy, b"priv password")),
    };
    let user = UsmUser::new(&credentials, &mut MasterKeyCache::default()).unwrap();
    let (now, id) = (Monotonic(0), RequestId::from_bits(7));
    let engine = EngineId::new(b"\x80engine-1").unwrap();
    let mut agent = Authority::new(engine, 1, now, [user.clone()].into(), 1);
    let keys = user.localize(&engine);
    let mut peer = Peer::new(Arc::new(user), b"", 1);
    let kind = RequestKind::GetBulk {
        non_repeaters: 0,
        max_repetitions: 10,
    };
    let all = names();
    let names = &all[..5];
    let request = Request { kind, id, names };
    let (mut sent, mut answer) = ([0; 2_000], [0; 4_000]);
    let answer = loop {
        let (Outgoing::Discovery(sent) | Outgoing::Request(sent)) =
            peer.encode(&mut sent, &request, now).unwrap();
        match agent.receive(sent, now).unwrap() {
            AuthorityReceived::Report(report) => {
                let report = agent.seal_report(&mut answer, &report, now).unwrap();
                peer.receive(report, id, now).unwrap();
            }
            AuthorityReceived::Request { reply, pdu } => {
                let mut writer = BackWriter::new(&mut answer);
                write_varbinds(&mut writer);
                PduHead::response(pdu.request_id()).write(&mut writer, 0);
                break agent.seal_response(writer, &reply, now).unwrap().to_vec();
            }
        }
    };
    let mut buffer = answer.clone();
    let receive = rate(|| {
        buffer.copy_from_slice(&answer);
        let Ok(Received::Response { scoped, .. }) = peer.receive(&mut buffer, id, now) else {
            panic!("no response");
        };
        black_box(sum(scoped.pdu.varbinds()));
    });
    report(&format!("v3 {auth} {privacy} receive"), receive, baseline);
    let layout = Layout::decode(&answer).unwrap();
    let verify = rate(|| {
        assert!(layout.verify(black_box(&answer), &keys));
    });
    report("    of it, verification alone", verify, baseline);
    let mut sent = [0; 2_000];
    let encode = rate(|| {
        black_box(peer.encode(&mut sent, &request, now).unwrap());
    });
    println!("    GETBULK of 5 names, sealed     {:8.1} ns", 1e9 / encode);
}

fn main() {
    let baseline = community();
    protected(baseline, AuthProtocol::Sha1, PrivacyProtocol::Aes128);
    protected(baseline, AuthProtocol::Sha256, PrivacyProtocol::Aes128);
    protected(baseline, AuthProtocol::Sha512, PrivacyProtocol::Aes256);
    protected(baseline, AuthProtocol::Md5, PrivacyProtocol::Des);
}
