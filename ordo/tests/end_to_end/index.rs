//! What somebody finds who looks at the API with nothing but its address.

use serde_json::Value;

use crate::support::{Answer, Client, Ordo};

/// The links of a listener's index, as method and path.
async fn links(client: &Client) -> Vec<(String, String)> {
    let index = client.get("/").await;
    assert_eq!((index.status, index.header("content-type")), (200, "application/json"));
    let index = index.json();
    assert_eq!((index["name"].as_str(), index["version"].as_str()), (Some("Ordo"), Some(env!("CARGO_PKG_VERSION"))));
    let text = |link: &Value, name: &str| link[name].as_str().unwrap().to_owned();
    index["links"].as_array().unwrap().iter().map(|link| (text(link, "method"), text(link, "path"))).collect()
}

/// What a listener says to a link that it has.
async fn follow(client: &Client, (method, path): &(String, String)) -> Answer {
    let path = path.replace("{id}", "nobody").replace("{sku}", "nothing");
    // It does not go on for ever, and says of itself that it is there.
    let path = if path == "/events/stream" { "/events/stream?after=x".to_owned() } else { path };
    client.ask(method.parse().unwrap(), &path).await
}

#[tokio::test]
async fn the_index_leads_to_what_there_is_and_so_does_a_path_that_is_not_there() {
    let ordo = Ordo::up(&[]).await;
    let client = ordo.client();
    let nothing = client.get("/nowhere").await.problem(404);
    assert_eq!(nothing["detail"], "nothing is at this path: GET / says what there is");
    let under_v1 = client.get("/v1/nowhere").await.problem(404);
    assert_eq!(under_v1["detail"], nothing["detail"]);

    let listeners = [client.clone(), Client::new(&ordo.ops)];
    for listener in &listeners {
        for link in links(listener).await {
            let answer = follow(listener, &link).await;
            let is_there = answer.status != 405 && !answer.text().contains("nothing is at this path");
            assert!(is_there, "{link:?}: {}", answer.text());
        }
        let index = listener.get("/").await.json();
        for document in ["openapi", "docs"].iter().filter_map(|name| index[*name].as_str()) {
            assert_eq!(listener.get(document).await.status, 200, "{document}");
        }
    }
    let [of_api, of_operators] = listeners.map(|listener| async move { listener.get("/").await.json() });
    assert!(of_api.await["openapi"].is_string() && of_operators.await.get("openapi").is_none());
}

#[tokio::test]
async fn each_process_tells_of_the_whole_api_and_its_operate_listener_of_itself() {
    let ordo = Ordo::up(&[]).await;
    let client = ordo.client();
    let settings = [("DATABASE_URL", ordo.database.as_str())];
    for role in ["command-api", "projections"] {
        let process = Ordo::serve(role, &settings).await;
        let other = process.client();
        assert_eq!(links(&other).await, links(&client).await, "{role}");
        for path in ["/openapi.json", "/openapi-3.0.json"] {
            assert!(other.get(path).await.body == client.get(path).await.body, "{role}: {path} is another document");
        }
        let operate = Client::new(&process.ops);
        for link in links(&operate).await {
            let answer = follow(&operate, &link).await;
            assert!(matches!(answer.status, 200 | 503), "{role}: {link:?}: {}", answer.text());
        }
    }
    // It is still another process that answers.
    let writes = Ordo::serve("command-api", &settings).await;
    writes.client().get("/orders/nobody").await.problem(404);
    writes.client().get("/orders").await.problem(405);
}
