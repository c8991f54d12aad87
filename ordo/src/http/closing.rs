//! How a listener stops without a reset for those whom the kernel has already let in.

use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// The time for clients that are just connecting to be there. Longer than the way to a client and back, usually.
const HANDSHAKES: Duration = Duration::from_millis(100);

/// Waits until `stop`, and then until nobody is left who is just connecting.
pub(super) async fn emptied(listener: &TcpListener, stop: &CancellationToken) {
    stop.cancelled().await;
    ignore_new_clients(listener);
    tokio::time::sleep(HANDSHAKES).await;
}

/// From now on the kernel lets no new clients in, but finishes with those that are just connecting. A listener that is closed while
/// clients come resets those it has not accepted. A client that is ignored asks again after a second, and is refused then.
#[cfg(target_os = "linux")]
fn ignore_new_clients(listener: &TcpListener) {
    use socket2::{SockFilter, SockRef};

    // Of the classic BPF: load a byte at a fixed place, jump if it equals, and with a value, end with a constant.
    let (load, and, jump_if_equal, end) = (0x30, 0x54, 0x15, 0x06);
    // In the header of TCP.
    let (flags_at, syn_and_ack, syn) = (13, 0x12, 0x02);
    let drops_syn = [
        SockFilter::new(load, 0, 0, flags_at),
        SockFilter::new(and, 0, 0, syn_and_ack),
        SockFilter::new(jump_if_equal, 0, 1, syn),
        SockFilter::new(end, 0, 0, 0),
        SockFilter::new(end, 0, 0, u32::MAX),
    ];
    if let Err(error) = SockRef::from(listener).attach_filter(&drops_syn) {
        tracing::debug!(%error, "clients that connect at the moment of the stop may be reset");
    }
}

#[cfg(not(target_os = "linux"))]
fn ignore_new_clients(_listener: &TcpListener) {}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::ErrorKind;
    use std::net::Ipv4Addr;

    use futures_util::FutureExt;
    use tokio::net::TcpStream;

    use super::super::bind;
    use super::*;

    #[tokio::test]
    async fn who_comes_after_the_stop_is_refused_and_not_reset() {
        // Given
        let listener = bind((Ipv4Addr::LOCALHOST, 0).into(), "--listen").unwrap();
        let address = listener.local_addr().unwrap();
        let before = TcpStream::connect(address).await.unwrap();

        // When
        ignore_new_clients(&listener);
        let mut after = Box::pin(TcpStream::connect(address));

        // Then
        assert!((&mut after).now_or_never().is_none());
        let (accepted, from) = listener.accept().await.unwrap();
        assert_eq!(from, before.local_addr().unwrap());
        drop(accepted);
        drop(listener);
        assert_eq!(after.await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    }
}
