//! What somebody finds who looks at the API with nothing but its address.

use serde_json::Value;

use crate::support::{Client, Ordo};

/// The links of a process's index, as method and path.
async fn links(client: &Client) -> Vec<(String, String)> {
    let index = client.get("/").await;
    assert_eq!((index.status, index.header("content-type")), (200, "application/json"));
    let index = index.json();
    assert_eq!((index["name"].as_str(), index["version"].as_str()), (Some("Ordo"), Some(env!("CARGO_PKG_VERSION"))));
    let text = |link: &Value, name: &str| link[name].as_str().unwrap().to_owned();
    index["links"].as_array().unwrap().iter().map(|link| (text(link, "method"), text(link, "path"))).collect()
}

#[tokio::test]
async fn the_index_leads_to_what_the_process_answers_and_so_does_a_path_that_is_not_there() {
    let ordo = Ordo::up(&[]).await;
    let client = ordo.client();
    let nothing = client.get("/nowhere").await.problem(404);
    assert_eq!(nothing["detail"], "nothing is at this path: GET / says what there is");
    let under_v1 = client.get("/v1/nowhere").await.problem(404);
    assert_eq!(under_v1["detail"], nothing["detail"]);

    let all = links(&client).await;
    for (method, path) in &all {
        let path = path.replace("{id}", "nobody").replace("{sku}", "nothing");
        // It does not go on for ever, and says of itself that it is there.
        let path = if path == "/events/stream" { "/events/stream?after=x".to_owned() } else { path };
        let answer = client.ask(method.parse().unwrap(), &path).await;
        assert!(
            answer.status != 405 && !answer.text().contains("nothing is at this path"),
            "{method} {path}: {}",
            answer.text()
        );
    }

    // Of a role alone only what it answers.
    let settings = [("DATABASE_URL", ordo.database.as_str())];
    let writes = Ordo::serve("command-api", &settings).await;
    let fewer = links(&writes.client()).await;
    assert!(fewer.contains(&("POST".into(), "/orders".into())) && !fewer.contains(&("GET".into(), "/orders".into())));
    assert!(fewer.iter().all(|link| all.contains(link)));
}
