//! `ordo demo` with an inbox that holds as much as it can.

use serde_json::json;

use crate::support::{Client, Ordo, run};

const SEND: &str = "/v2/email/outbound-emails";

#[tokio::test]
async fn the_demo_finds_its_mail_in_a_full_inbox() {
    // Given
    let ordo = Ordo::up(&[]).await;
    let inbox = Client::new(&ordo.inbox);
    let most = embedded::inbox::BODY_LIMIT - 1024;
    for nth in 0..embedded::inbox::BYTES_KEPT / most {
        let mail = json!({
            "FromEmailAddress": "shop@example.com",
            "Destination": {"ToAddresses": ["ann@example.com"]},
            "Content": {"Simple": {"Subject": {"Data": nth.to_string()}, "Body": {"Text": {"Data": "x".repeat(most)}}}},
        });
        assert_eq!(inbox.post(SEND, "application/json", mail.to_string()).await.status, 200);
    }

    // When
    let demo = run(&["demo", "--api", &ordo.api, "--inbox", &ordo.inbox], &[]).await;

    // Then
    assert_eq!(demo.code, 0, "{}", demo.err);
}
