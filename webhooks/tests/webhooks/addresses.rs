//! Addresses that nothing is sent to, whatever a name resolves to and whenever that changes.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use access_control::Role;
use webhooks::{HostResolver, ResolvedAddresses, TrustedRoots, WebhookNetwork};

use crate::support::{Fixture, Receiver, Reply, loopback, settings};

/// Answers with what it was told last, and counts how often it was asked.
#[derive(Default)]
struct ChangingNames {
    addresses: Mutex<Vec<IpAddr>>,
    asked: Mutex<Vec<String>>,
}

impl ChangingNames {
    fn now(&self, addresses: &[IpAddr]) {
        *self.addresses.lock().unwrap() = addresses.to_vec();
    }
}

/// For the crate, which wants one of its own.
struct Shared(Arc<ChangingNames>);

impl HostResolver for Shared {
    fn addresses(&self, host: String) -> ResolvedAddresses {
        self.0.asked.lock().unwrap().push(host);
        let addresses = self.0.addresses.lock().unwrap().clone();
        Box::pin(async move { Ok(addresses) })
    }
}

#[tokio::test]
async fn a_private_address_is_refused_also_after_a_change_of_the_name() {
    // Given a name that leads to an address that is allowed
    let fixture = Fixture::new().await;
    let close = |_: &crate::support::Received| Reply::With(200, "connection", "close".to_owned());
    let allowed = Receiver::new(close).await;
    let port = allowed.address.port();
    let other = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
    let private = Receiver::at(SocketAddr::new(other, port), |_| Reply::Status(200)).await;
    let names = Arc::new(ChangingNames::default());
    names.now(&[loopback()]);
    let url = format!("http://localhost:{port}/hooks");
    let (endpoint, _) = fixture.endpoint_at(&url, &[], Role::Auditor).await;
    let network = WebhookNetwork { resolver: Arc::new(Shared(Arc::clone(&names))), roots: TrustedRoots::default() };
    let _copy = fixture.deliver_by(settings(), network);
    fixture.note("o-1", "hello").await;
    fixture.until(&endpoint, "delivered", 1).await;
    assert_eq!(*names.asked.lock().unwrap(), ["localhost"]);

    // When it leads elsewhere; one address of several is enough
    names.now(&[loopback(), other]);
    fixture.note("o-2", "hello").await;

    // Then
    fixture.until_tried(&endpoint, "o-2", 1).await;
    let refused = fixture.deliveries(&endpoint).await.remove(1).error.unwrap();
    assert_eq!(
        refused,
        "localhost has the address 127.0.0.2, which is not of the Internet and not in ORDO_WEBHOOK_ALLOWED_NETWORKS"
    );
    for address in ["10.0.0.1", "169.254.169.254", "fd00::1", "::ffff:192.168.0.1", "64:ff9b::a00:1"] {
        let order = format!("o-{}", address.replace(':', "-"));
        names.now(&[address.parse().unwrap()]);
        fixture.note(&order, "hello").await;
        fixture.until_tried(&endpoint, &order, 1).await;
        let error = fixture.deliveries(&endpoint).await.pop().unwrap().error.unwrap();
        assert!(error.contains("is not of the Internet"), "{address}: {error}");
    }
    assert_eq!((allowed.count(), private.count()), (1, 0));
}

#[tokio::test]
async fn an_address_that_is_no_longer_allowed_is_refused() {
    let fixture = Fixture::new().await;
    let receiver = Receiver::new(|_| Reply::Status(200)).await;
    let (endpoint, _) = fixture.endpoint(&receiver).await;
    let nothing = webhooks::WebhookSettings { allowed_networks: webhooks::AllowedNetworks::default(), ..settings() };
    let _copy = fixture.deliver_by(nothing, WebhookNetwork::default());

    fixture.note("o-1", "hello").await;

    fixture.until_tried(&endpoint, "o-1", 1).await;
    let error = fixture.deliveries(&endpoint).await.remove(0).error.unwrap();
    assert!(error.starts_with("127.0.0.1 has the address 127.0.0.1"), "{error}");
    assert_eq!(receiver.count(), 0);
}
