//! The UDP socket of an endpoint.
//!
//! Does: open it for both families of addresses where the system has both, say which family an
//! endpoint cannot reach. Does not: send. In: an address of the configuration. Out: a socket.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

/// What the kernel is asked to hold of arriving packets: a burst of the largest window.
const SOCKET_RECEIVE_BYTES: usize = 4 << 20;

/// A free port on all addresses, from which IPv4 and IPv6 can be dialled; IPv4 alone where the
/// system has no IPv6.
#[must_use]
pub fn any_address() -> SocketAddr {
    let both = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
    match bind(both) {
        Ok(_) => both,
        Err(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
    }
}

pub(super) fn bind(address: SocketAddr) -> std::io::Result<UdpSocket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    // The kernel gives what its own limit allows.
    socket.set_recv_buffer_size(SOCKET_RECEIVE_BYTES)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Whether a socket of that address reaches the other's family: `[::]` reaches both.
pub(super) fn reaches(local: SocketAddr, address: SocketAddr) -> bool {
    match (local, address) {
        (SocketAddr::V6(local), SocketAddr::V4(_)) => local.ip().is_unspecified(),
        (SocketAddr::V4(_), SocketAddr::V6(_)) => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_reaches_its_own_family_and_one_for_all_addresses_both() {
        let check = |local: &str, address: &str, expected| {
            let is_reached = reaches(local.parse().unwrap(), address.parse().unwrap());
            assert_eq!(is_reached, expected, "{local} to {address}");
        };
        check("0.0.0.0:1", "10.0.0.1:2", true);
        check("0.0.0.0:1", "[::1]:2", false);
        check("10.0.0.2:1", "[2001:db8::1]:2", false);
        check("[::]:1", "10.0.0.1:2", true);
        check("[::]:1", "[::1]:2", true);
        check("[::1]:1", "[::1]:2", true);
        check("[::1]:1", "127.0.0.1:2", false);
    }
}
