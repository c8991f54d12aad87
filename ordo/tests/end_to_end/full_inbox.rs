//! The commands that look into the inbox, where it holds as much as it can.

use serde_json::json;

use crate::support::{Client, Ordo, run};

const SEND: &str = "/v2/email/outbound-emails";

#[tokio::test]
async fn demo_and_bench_find_their_mails_in_a_full_inbox() {
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
    let measuring = ["bench", "end-to-end", "--orders", "5", "--json", "--api", &ordo.api, "--inbox", &ordo.inbox];
    let bench = run(&measuring, &[]).await;

    // Then
    assert_eq!(demo.code, 0, "{}", demo.err);
    assert_eq!(bench.code, 0, "{}", bench.err);
    let figures: serde_json::Value = serde_json::from_str(&bench.out).unwrap();
    assert_eq!(figures["orders"], 5);
}
