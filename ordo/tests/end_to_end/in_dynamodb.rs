//! The platform with its read models in DynamoDB: an emulator in this process.

use testkit::demo_order;

use crate::support::{Finished, Ordo, run, settled, until_mailed};

const ORDERS: usize = 30;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_are_read_from_dynamodb_and_read_models_rebuilt_there_while_more_come_in() {
    // Given
    let dynamodb = testkit::dynamodb().await;
    let url = dynamodb.url();
    let settings = [("ORDO_READ_MODELS", "dynamodb"), ("AWS_ENDPOINT_URL_DYNAMODB", url.as_str())];
    let ordo = Ordo::up(&settings).await;
    let client = ordo.client();
    let replay = async |arguments: &[&str]| {
        let [kept_in, endpoint] = settings;
        let line = [&["replay"], arguments].concat();
        run(&line, &[("DATABASE_URL", &ordo.database), kept_in, endpoint]).await
    };
    let post_and_read = async |name: &str| {
        for nth in 0..ORDERS {
            let id = format!("{name}-{nth}");
            let accepted = client.order(&demo_order(&id)).await;
            // Read as soon as it is written, whichever table it is in by then.
            let position = accepted.header("event-position").to_owned();
            let read = client.get(&format!("/orders/{id}?minPosition={position}")).await;
            assert_eq!(read.status, 200, "{}", read.text());
        }
    };

    // When
    post_and_read("first").await;
    let (replayed, ()) = tokio::join!(replay(&["--all"]), post_and_read("second"));

    // Then
    assert_eq!(replayed.code, 0, "{replayed:?}");
    until_mailed(&ordo.database, i64::try_from(2 * ORDERS).unwrap()).await;
    let order = settled(&client, "second-0").await;
    assert_eq!((&order["status"], order["lines"].as_array().unwrap().len()), (&"confirmed".into(), 1));
    let customer = order["customerId"].as_str().unwrap();
    let mut listed = Vec::new();
    let mut path = format!("/customers/{customer}/orders?expand=lines,mails&limit=7");
    loop {
        let page = client.get(&path).await.json();
        for order in page["items"].as_array().unwrap() {
            assert_eq!((&order["lines"][0]["sku"], &order["mails"][0]["status"]), (&"sku-123".into(), &"sent".into()));
        }
        let ids = page["items"].as_array().unwrap().iter().map(|order| order["orderId"].as_str().unwrap().to_owned());
        listed.extend(ids);
        let Some(cursor) = page["cursor"].as_str() else { break };
        path = format!("/customers/{customer}/orders?expand=lines,mails&limit=7&cursor={cursor}");
    }
    let expected =
        ["second", "first"].iter().flat_map(|name| (0..ORDERS).rev().map(move |nth| format!("{name}-{nth}")));
    assert_eq!(listed, expected.collect::<Vec<_>>());

    // What it is now is what the events say, and so is what it was before.
    let compared = replay(&["--all", "--compare"]).await;
    assert_eq!(compared.code, 0, "{compared:?}");
    let back = replay(&["--projection", "orders", "--rollback"]).await;
    assert_eq!(back.code, 0, "{back:?}");
    assert_eq!(client.get("/orders/second-0").await.json(), order);
    client.order(&demo_order("afterwards")).await;
    assert_eq!(settled(&client, "afterwards").await["status"], "confirmed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn read_models_move_to_dynamodb_and_back_by_a_replay() {
    // Given: a platform that keeps them in Postgres.
    let (database, dynamodb) = tokio::join!(testkit::durable_database(), testkit::dynamodb());
    let url = dynamodb.url();
    let postgres = [("DATABASE_URL", database.url())];
    let moved = [
        ("DATABASE_URL", database.url()),
        ("ORDO_READ_MODELS", "dynamodb"),
        ("AWS_ENDPOINT_URL_DYNAMODB", url.as_str()),
    ];
    let mut before = Ordo::up(&postgres).await;
    before.client().order(&demo_order("moves")).await;
    let order = settled(&before.client(), "moves").await;
    before.kill().await;

    for (settings, others) in [(&moved[..], &postgres[..]), (&postgres[..], &moved[..])] {
        // When: the setting says otherwise from now on.
        let migrated = run(&["migrate"], settings).await;
        let to_do = "the read model orders is not there yet: run `ordo replay --projection orders`";
        assert!(migrated.code == 0 && migrated.err.contains(to_do), "{migrated:?}");
        assert_eq!(serve(settings).await.err, format!("ordo: {to_do}\n"));
        let replayed = run(&["replay", "--all"], settings).await;
        assert_eq!(replayed.code, 0, "{replayed:?}");

        // Then: nothing is missing, and nobody goes on with what is where they were.
        let now = Ordo::serve("projections", settings).await;
        assert_eq!(now.client().get("/orders/moves").await.json(), order);
        assert_eq!(serve(others).await.err, format!("ordo: {to_do}\n"));
    }
}

/// A start that is refused.
async fn serve(settings: &[(&str, &str)]) -> Finished {
    let line = ["serve", "--roles", "projections", "--listen", "127.0.0.1:0", "--allow-anonymous"];
    let refused = run(&line, &[settings, &[("ORDO_LOG", "off")]].concat()).await;
    assert_eq!((refused.code, refused.out.as_str()), (1, ""));
    refused
}
