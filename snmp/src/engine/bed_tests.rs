//! A bed for engine tests: clock, chance, devices behind real sockets on loopback.
//!
//! Does: serve a [`TestAgent`] over v1, v2c or v3 from a task, with a say on each datagram.
//! Does not: assert. In: closures. Out: addresses, an [`Engine`] on the same thread.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ocelli_model::clock::{Clock, Monotonic, Rng, Sleep, WallMs};
use tokio::net::UdpSocket;
use tokio::task::{LocalSet, spawn_local};

use super::agent_tests::TestAgent;
use super::*;
use crate::ber::BackWriter;
use crate::usm::{
    AuthProtocol, Credentials, EngineId, MasterKeyCache, PrivacyProtocol, ReportReason, UsmUser,
};
use crate::v3::{Authority, AuthorityReceived};

pub(crate) struct TestClock(tokio::time::Instant);

impl Clock for TestClock {
    #[expect(clippy::disallowed_methods, reason = "the clock of tests")]
    fn monotonic(&self) -> Monotonic {
        let since = tokio::time::Instant::now().duration_since(self.0);
        Monotonic(1_000_000_000 + u64::try_from(since.as_nanos()).unwrap())
    }

    #[expect(clippy::disallowed_methods, reason = "the clock of tests")]
    fn wall(&self) -> WallMs {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        WallMs(i64::try_from(since.as_millis()).unwrap())
    }

    fn sleep_until(&self, at: Monotonic) -> Sleep {
        let at = self.0 + Duration::from_nanos(at.0.saturating_sub(1_000_000_000));
        Box::pin(tokio::time::sleep_until(at))
    }
}

pub(crate) struct TestRng(pub(crate) u64);

impl Rng for TestRng {
    fn next_u64(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}

/// An engine and its clock, inside a runtime.
#[derive(Clone)]
pub(crate) struct Bed {
    pub(crate) engine: Rc<Engine>,
    pub(crate) clock: Arc<TestClock>,
}

/// Runs a test on a thread of its own kind: current-thread runtime with local tasks.
pub(crate) fn run<F: Future<Output = ()>>(test: impl FnOnce(Bed) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, async {
        #[expect(clippy::disallowed_methods, reason = "the clock of tests")]
        let clock = Arc::new(TestClock(tokio::time::Instant::now()));
        let engine = Engine::start(Source::default(), clock.clone(), Box::new(TestRng(7)));
        test(Bed { engine, clock }).await;
    });
}

impl Bed {
    pub(crate) fn deadline(&self, millis: u64) -> Monotonic {
        self.clock.monotonic().after(Duration::from_millis(millis))
    }

    /// A v2c session with short time-outs.
    pub(crate) fn session(&self, address: SocketAddr) -> Session {
        self.session_with(address, |_| {})
    }

    pub(crate) fn session_with(
        &self,
        address: SocketAddr,
        change: impl FnOnce(&mut SessionSettings),
    ) -> Session {
        let credential = Credential::community(CommunityVersion::V2c, b"public");
        let mut settings = SessionSettings::new(address, Arc::new(credential));
        settings.timeout = TimeoutBounds::around(Duration::from_millis(40));
        change(&mut settings);
        self.engine.session(settings).unwrap()
    }
}

/// Serves datagrams by `answer`, which may send as many as it likes.
pub(crate) async fn device<F>(answer: F) -> SocketAddr
where
    F: FnMut(&mut [u8]) -> Vec<Vec<u8>> + 'static,
{
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    serve(socket, answer);
    address
}

/// The same from a socket of the test's own.
pub(crate) fn serve<F>(socket: UdpSocket, mut answer: F)
where
    F: FnMut(&mut [u8]) -> Vec<Vec<u8>> + 'static,
{
    spawn_local(async move {
        let mut buffer = vec![0; 65_536];
        loop {
            let (len, from) = socket.recv_from(&mut buffer).await.unwrap();
            for reply in answer(&mut buffer[..len]) {
                socket.send_to(&reply, from).await.unwrap();
            }
        }
    });
}

/// Serves an agent of v1 or v2c that has no faults of its own.
pub(crate) async fn healthy(agent: TestAgent) -> SocketAddr {
    device(move |request| agent.answer(request).into_iter().collect()).await
}

/// A v3 agent that can be restarted.
pub(crate) struct V3Agent {
    authority: RefCell<Authority>,
    agent: TestAgent,
    clock: Arc<TestClock>,
    pub(crate) datagrams: Cell<usize>,
    /// As net-snmp does, instead of a report.
    pub(crate) drops_undecryptable: Cell<bool>,
}

impl V3Agent {
    pub(crate) async fn serve(bed: &Bed, agent: TestAgent) -> (Rc<Self>, SocketAddr) {
        let users: Arc<[UsmUser]> = [user(b"monitor", b"authauth1", b"privpriv1")]
            .into_iter()
            .map(Arc::unwrap_or_clone)
            .collect();
        let engine_id = EngineId::new(b"\x80\x00\x1f\x88\x04test").unwrap();
        let now = bed.clock.monotonic();
        let authority = Authority::new(engine_id, 5, now, users, 99);
        let agent = Rc::new(Self {
            authority: RefCell::new(authority),
            agent,
            clock: Arc::clone(&bed.clock),
            datagrams: Cell::new(0),
            drops_undecryptable: Cell::new(false),
        });
        let served = Rc::clone(&agent);
        let address = device(move |request| served.answer(request).into_iter().collect()).await;
        (agent, address)
    }

    pub(crate) fn restart(&self, boots: u32) {
        let now = self.clock.monotonic();
        self.authority.borrow_mut().restart(boots, now);
    }

    fn answer(&self, request: &mut [u8]) -> Option<Vec<u8>> {
        self.datagrams.set(self.datagrams.get() + 1);
        let now = self.clock.monotonic();
        let mut authority = self.authority.borrow_mut();
        let mut buffer = vec![0; 65_000];
        let message = match authority.receive(request, now).ok()? {
            AuthorityReceived::Request { reply, pdu } => {
                let mut writer = BackWriter::new(&mut buffer);
                let head = self.agent.respond(&pdu, &mut writer, 1_300);
                head.write(&mut writer, 0);
                authority
                    .seal_response(writer, &reply, now)
                    .unwrap()
                    .to_vec()
            }
            AuthorityReceived::Report(report)
                if report.reason == ReportReason::DecryptionError
                    && self.drops_undecryptable.get() =>
            {
                return None;
            }
            AuthorityReceived::Report(report) => {
                let report = authority.seal_report(&mut buffer, &report, now);
                report.unwrap().to_vec()
            }
        };
        Some(message)
    }
}

/// A user of SHA-1 and AES-128.
pub(crate) fn user(name: &[u8], auth: &[u8], privacy: &[u8]) -> Arc<UsmUser> {
    let credentials = Credentials {
        user: name,
        auth: Some((AuthProtocol::Sha1, auth)),
        privacy: Some((PrivacyProtocol::Aes128, privacy)),
    };
    Arc::new(UsmUser::new(&credentials, &mut MasterKeyCache::default()).unwrap())
}
