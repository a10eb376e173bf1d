//! Does a link add little to a raw QUIC stream: may one carry 1 M samples/s on 0.06 core a side?
//!
//! Does: send blocks as the bus makes them (256 KiB, and 4 KiB) over a link's live channel and the
//! same bytes over a raw quinn stream with the same settings, by turns, both ends on threads of
//! their own; print MB per CPU-second a side and their ratio, and what 1 M samples/s of 3.2 B cost.
//! Does not: store (no fsync), nor shape traffic. In: nothing. Out: lines for people.

#![expect(clippy::unwrap_used, reason = "a bench: a failure is the report")]
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]
#![expect(clippy::disallowed_methods, reason = "a bench reads real clocks")]
#![expect(clippy::cast_possible_truncation, reason = "figures of a bench")]

mod support;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ocelli_bus::record::OriginId;
use ocelli_federation::frame::{Channel, FEATURES, Frame, PROTOCOL, Role};
use ocelli_federation::identity::SERVER_NAME;
use ocelli_federation::link::{
    DialFacts, Link, LinkBudget, MeshEndpoint, MeshOptions, NodeFacts, WelcomeFacts, reset_key_of,
};
use support::cards::{Authority, Card};
use support::node::RealClock;
use support::{load, quantile, thread_cpu};
use tokio::sync::oneshot;

/// Bytes of a round.
const ROUND_BYTES: usize = 192 << 20;
const ROUNDS: usize = 5;
/// Sealed by size, and by time on a quiet site.
const BLOCK_BYTES: [usize; 2] = [256 << 10, 4 << 10];
/// Bytes of a sample on the wire (design §13).
const SAMPLE_BYTES: f64 = 3.2;
/// Samples a second that the budget is stated for.
const SAMPLES: f64 = 1e6;

/// Longest wait for an orderly end.
const PATIENCE: Duration = Duration::from_secs(10);

const REGION: &str = "ocelli://mesh/region/emea/r1";
const SITE: &str = "ocelli://mesh/site/dc1/a";

fn cards() -> [Card; 2] {
    let authority = Authority::new();
    [REGION, SITE].map(|uri| authority.card(uri))
}

fn options(uri: &str) -> MeshOptions {
    MeshOptions {
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        node: NodeFacts {
            identity: uri.parse().unwrap(),
            build: "bench".to_owned(),
            versions: PROTOCOL,
            features: FEATURES,
        },
        budget: LinkBudget {
            ingest_bytes_max: 256 << 20,
            links_max: 8,
        },
        links_per_address_max: 8,
        reset_key: reset_key_of(uri.as_bytes()),
        clock: RealClock::start(),
    }
}

/// CPU seconds of a round: of the sender's thread, of the receiver's; and its wall time.
#[derive(Clone, Copy)]
struct Cost {
    sender: f64,
    receiver: f64,
    wall: f64,
}

/// Runs an end on a thread of its own; its CPU seconds.
fn on_thread(
    end: impl FnOnce(&tokio::runtime::Runtime) + Send + 'static,
) -> std::thread::JoinHandle<f64> {
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        end(&runtime);
        thread_cpu().as_secs_f64()
    })
}

fn cost(
    receive: impl FnOnce(&tokio::runtime::Runtime) + Send + 'static,
    send: impl FnOnce(&tokio::runtime::Runtime) + Send + 'static,
) -> Cost {
    let began = Instant::now();
    let receiver = on_thread(receive);
    let sender = on_thread(send);
    let (sender, receiver) = (sender.join().unwrap(), receiver.join().unwrap());
    let wall = began.elapsed().as_secs_f64();
    Cost {
        sender,
        receiver,
        wall,
    }
}

fn link_round(cards: &Arc<[Card; 2]>, block_bytes: usize) -> Cost {
    let (tell, told) = oneshot::channel();
    let (up, down) = (Arc::clone(cards), Arc::clone(cards));
    let receive = move |runtime: &tokio::runtime::Runtime| {
        runtime.block_on(async {
            let (endpoint, mut offers) =
                MeshEndpoint::open(options(REGION), &up[0].server()).unwrap();
            tell.send(endpoint.local_address().unwrap()).unwrap();
            let facts = WelcomeFacts {
                origin: OriginId(2),
                ingest_bytes_in_flight_max: 16 << 20,
            };
            let link = offers.next().await.unwrap().welcome(facts).await.unwrap();
            let mut bytes = 0;
            while let Ok(frame) = link.receive().await {
                if let Frame::Block { block, .. } = frame {
                    bytes += block.len();
                }
            }
            assert!(bytes >= ROUND_BYTES);
        });
    };
    let send = move |runtime: &tokio::runtime::Runtime| {
        runtime.block_on(async {
            let (endpoint, _offers) = MeshEndpoint::open(options(SITE), &down[1].server()).unwrap();
            let facts = DialFacts {
                origin: OriginId(1),
                role: Role::Uplink,
            };
            let address = told.await.unwrap();
            let link = endpoint
                .dial(address, &down[1].client(), facts)
                .await
                .unwrap();
            let block = Bytes::from(vec![0x5a; block_bytes]);
            for _ in 0..ROUND_BYTES.div_ceil(block_bytes) {
                link.send_block(Channel::Live, block.clone()).await.unwrap();
            }
            link.finish("over", PATIENCE).await;
            // Without it the runtime ends before the close is on the wire, and the receiver waits
            // for its idle time-out.
            endpoint.shutdown(PATIENCE).await;
        });
    };
    cost(receive, send)
}

fn transport() -> Arc<quinn::TransportConfig> {
    let budget = options(SITE).budget;
    let mut transport = quinn::TransportConfig::default();
    let window = |bytes: u64| quinn::VarInt::from_u64(bytes).unwrap();
    transport.receive_window(window(budget.receive_window()));
    transport.stream_receive_window(window(budget.receive_window() / 2));
    transport.send_window(16 << 20);
    Arc::new(transport)
}

fn raw_round(cards: &Arc<[Card; 2]>, block_bytes: usize) -> Cost {
    let (tell, told) = oneshot::channel();
    let (up, down) = (Arc::clone(cards), Arc::clone(cards));
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let receive = move |runtime: &tokio::runtime::Runtime| {
        runtime.block_on(async {
            let tls = Arc::new(up[0].server());
            let crypto = quinn::crypto::rustls::QuicServerConfig::try_from(tls).unwrap();
            let mut config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
            config.transport_config(transport());
            let endpoint = quinn::Endpoint::server(config, address).unwrap();
            tell.send(endpoint.local_addr().unwrap()).unwrap();
            let connection = endpoint.accept().await.unwrap().await.unwrap();
            let mut stream = connection.accept_uni().await.unwrap();
            let (mut buffer, mut bytes) = (vec![0; 256 << 10], 0);
            while let Some(read) = stream.read(&mut buffer).await.unwrap() {
                bytes += read;
            }
            assert!(bytes >= ROUND_BYTES);
            connection.close(0_u32.into(), b"");
            endpoint.wait_idle().await;
        });
    };
    let send = move |runtime: &tokio::runtime::Runtime| {
        runtime.block_on(async {
            let tls = Arc::new(down[1].client());
            let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(tls).unwrap();
            let mut config = quinn::ClientConfig::new(Arc::new(crypto));
            config.transport_config(transport());
            let endpoint = quinn::Endpoint::client(address).unwrap();
            let address = told.await.unwrap();
            let connecting = endpoint.connect_with(config, address, SERVER_NAME).unwrap();
            let connection = connecting.await.unwrap();
            let mut stream = connection.open_uni().await.unwrap();
            let block = Bytes::from(vec![0x5a; block_bytes]);
            for _ in 0..ROUND_BYTES.div_ceil(block_bytes) {
                stream.write_chunk(block.clone()).await.unwrap();
            }
            stream.finish().unwrap();
            // The receiver closes when it has all.
            connection.closed().await;
        });
    };
    cost(receive, send)
}

fn median(mut values: Vec<f64>) -> f64 {
    quantile(&mut values, 0.5)
}

fn main() {
    let cards = Arc::new(cards());
    let mb = ROUND_BYTES as f64 / 1e6;
    println!("load {}", load());
    for block_bytes in BLOCK_BYTES {
        let (mut links, mut raws) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            raws.push(raw_round(&cards, block_bytes));
            links.push(link_round(&cards, block_bytes));
        }
        let of =
            |costs: &[Cost], field: fn(&Cost) -> f64| median(costs.iter().map(field).collect());
        println!(
            "blocks of {} KiB, {ROUNDS} rounds of {mb:.0} MB, medians",
            block_bytes >> 10
        );
        for (name, costs) in [("raw stream", &raws), ("link", &links)] {
            let (sender, receiver) = (
                of(costs, |cost| cost.sender),
                of(costs, |cost| cost.receiver),
            );
            println!(
                "  {name:<10} {:4.0} MB/s wall, MB per CPU-second: {:4.0} sent, {:4.0} read",
                mb / of(costs, |cost| cost.wall),
                mb / sender,
                mb / receiver,
            );
            let core = |seconds: f64| seconds / mb * SAMPLES * SAMPLE_BYTES / 1e6;
            println!(
                "             1 M samples/s of {SAMPLE_BYTES} B: sender {:.4} core, receiver {:.4}",
                core(sender),
                core(receiver),
            );
        }
        let both = |cost: &Cost| cost.sender + cost.receiver;
        let ratio = of(&raws, both) / of(&links, both);
        println!("  the link reaches {ratio:.2} of the raw stream (CPU of both ends)");
    }
}
