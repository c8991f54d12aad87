use http::StatusCode;

use super::*;

fn ask(hosts: &AllowedHosts, method: &str, headers: &[(&str, &str)]) -> u16 {
    let request = http::Request::builder().method(method).uri("/orders");
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    hosts.check(&request.body(()).unwrap()).map_or_else(|refused| refused.status().as_u16(), |()| 200)
}

#[test]
fn a_request_names_one_host() {
    let hosts = AllowedHosts::any();
    for good in ["shop.example", "shop.example:3000", "shop.example:", "127.0.0.1:3000", "[::1]:3000", "orders"] {
        assert_eq!(ask(&hosts, "GET", &[("host", good)]), 200, "{good}");
    }
    for bad in ["", ":3000", "a b", "user@shop.example", "shop.example:70000", "shop.example/orders", "[::1", "a,b c"] {
        assert_eq!(ask(&hosts, "GET", &[("host", bad)]), 400, "{bad}");
    }
    assert_eq!(ask(&hosts, "GET", &[]), 400);
    assert_eq!(ask(&hosts, "GET", &[("host", "a"), ("host", "a")]), 400);
    let old = http::Request::get("/orders").version(Version::HTTP_10).body(()).unwrap();
    assert!(hosts.check(&old).is_ok());
}

#[test]
fn who_is_asked_under_another_name_does_not_answer() {
    let hosts = AllowedHosts::these(["api.shop.example"]);
    for known in [
        "127.0.0.1:3000",
        "[::1]:3000",
        "192.0.2.7",
        "localhost:3000",
        "LOCALHOST",
        "localhost.",
        "a.localhost",
        "gateway",
        "api.shop.example",
        "API.shop.example:3000",
    ] {
        assert_eq!(ask(&hosts, "GET", &[("host", known)]), 200, "{known}");
    }
    for unknown in
        ["rebound.example:3000", "shop.example", "localhost.example", "127.0.0.1.example", "xapi.shop.example"]
    {
        assert_eq!(ask(&hosts, "GET", &[("host", unknown)]), 421, "{unknown}");
        for any in [AllowedHosts::these(["*"]), AllowedHosts::these(["*", "api.shop.example"])] {
            assert_eq!(ask(&any, "GET", &[("host", unknown)]), 200, "{unknown}");
        }
    }
    // What is asked for is in the target, whatever the header says.
    let whole = http::Request::get("http://rebound.example/orders").header("host", "localhost").body(()).unwrap();
    assert_eq!(hosts.check(&whole).unwrap_err().status(), StatusCode::MISDIRECTED_REQUEST);
}

#[test]
fn a_front_end_that_is_named_may_ask_whatever_host_is_asked() {
    let host = ("host", "api.shop.example");
    let post =
        |hosts: &AllowedHosts, origin| ask(hosts, "POST", &[host, ("sec-fetch-site", "same-site"), ("origin", origin)]);
    let named = AllowedHosts::these(["*", "Shop.example."]);
    for origin in ["https://shop.example", "https://SHOP.example", "https://shop.example.", "http://shop.example:8080"]
    {
        assert_eq!(post(&named, origin), 200, "{origin}");
    }
    for origin in ["https://elsewhere.example", "https://*", "https://api.shop.example", "null"] {
        assert_eq!(post(&named, origin), 403, "{origin}");
    }
    assert_eq!(post(&AllowedHosts::any(), "https://shop.example"), 403);
}

#[test]
fn pages_of_an_origin_that_is_named_may_read_and_change_things() {
    let origins = [HeaderValue::from_static("https://app.shop.example")];
    let page = |hosts: &AllowedHosts, origin| {
        let headers = [("host", "localhost"), ("sec-fetch-site", "cross-site"), ("origin", origin)];
        (ask(hosts, "POST", &headers), ask(hosts, "GET", &headers))
    };
    for hosts in [AllowedHosts::local(), AllowedHosts::any(), AllowedHosts::these(["api.shop.example"])] {
        let hosts = hosts.with_origins(&origins);
        assert_eq!(page(&hosts, "https://app.shop.example"), (200, 200));
        for other in ["http://app.shop.example", "https://app.shop.example:8443", "https://shop.example", "null"] {
            assert_eq!(page(&hosts, other), (403, 403), "{other}");
        }
    }
}

#[test]
fn with_http_2_the_target_names_the_host() {
    let asked = |uri: &str| http::Request::post(uri).version(Version::HTTP_2).body(()).unwrap();
    let hosts = AllowedHosts::these(["api.shop.example"]);
    assert!(hosts.check(&asked("https://api.shop.example/orders")).is_ok());
    assert_eq!(hosts.check(&asked("https://rebound.example/orders")).unwrap_err().status().as_u16(), 421);
    assert_eq!(hosts.check(&asked("/orders")).unwrap_err().status().as_u16(), 400);
}

#[test]
fn a_host_that_was_seen_before_lets_in_no_more_than_it_did() {
    let (hosts, host) = (AllowedHosts::local(), ("host", "localhost:3000"));
    for _ in 0..2 {
        assert_eq!((ask(&hosts, "POST", &[host]), ask(&hosts, "GET", &[host])), (200, 200));
        assert_eq!(ask(&hosts, "GET", &[host, host]), 400);
        assert_eq!(ask(&hosts, "POST", &[host, ("origin", "https://elsewhere.example")]), 403);
        for method in ["POST", "GET"] {
            assert_eq!(ask(&hosts, method, &[host, ("sec-fetch-site", "cross-site")]), 403);
        }
        assert_eq!(ask(&hosts, "POST", &[("host", "rebound.example:3000")]), 421);
        let whole = http::Request::post("http://rebound.example/orders").header(host.0, host.1).body(()).unwrap();
        assert_eq!(hosts.check(&whole).unwrap_err().status(), StatusCode::MISDIRECTED_REQUEST);
    }
}

#[test]
fn a_name_may_be_given_with_the_dot_that_ends_it() {
    let hosts = AllowedHosts::these(["api.shop.example."]);
    for known in ["api.shop.example", "api.shop.example."] {
        assert_eq!(ask(&hosts, "GET", &[("host", known)]), 200, "{known}");
    }
}

#[test]
fn who_listens_for_others_than_this_machine_does_not_know_its_names() {
    let (here, all) = (([127, 0, 0, 1], 3000).into(), ([0, 0, 0, 0], 3000).into());
    let names = ["api.shop.example".to_owned()];
    for (hosts, known, unknown) in [
        (AllowedHosts::for_listener(here, None), 421, 421),
        (AllowedHosts::for_listener(all, None), 200, 200),
        (AllowedHosts::for_listener(here, Some(&names)), 200, 421),
        (AllowedHosts::for_listener(all, Some(&names)), 200, 421),
    ] {
        assert_eq!(ask(&hosts, "GET", &[("host", "api.shop.example")]), known, "{hosts:?}");
        assert_eq!(ask(&hosts, "GET", &[("host", "rebound.example")]), unknown, "{hosts:?}");
    }
}

#[test]
fn a_page_of_another_site_changes_and_reads_nothing() {
    let hosts = AllowedHosts::these(["shop.example"]);
    let host = ("host", "127.0.0.1:3000");
    for (headers, may) in [
        (&[][..], true),
        (&[("sec-fetch-site", "same-origin")], true),
        (&[("sec-fetch-site", "none")], true),
        (&[("sec-fetch-site", "cross-site")], false),
        // Another port of the same machine is another's page.
        (&[("sec-fetch-site", "same-site")], false),
        (&[("sec-fetch-site", "cross-site"), ("origin", "http://127.0.0.1:3000")], false),
        (&[("sec-fetch-site", "cross-site"), ("origin", "https://shop.example")], true),
        (&[("origin", "http://127.0.0.1:3000")], true),
        (&[("origin", "http://127.0.0.1:8080")], false),
        (&[("origin", "https://elsewhere.example")], false),
        (&[("origin", "https://shop.example")], true),
        (&[("origin", "null")], false),
    ] {
        let headers = [&[host], headers].concat();
        for method in ["POST", "DELETE", "PUT", "PATCH", "GET", "HEAD"] {
            assert_eq!(ask(&hosts, method, &headers), if may { 200 } else { 403 }, "{method} {headers:?}");
        }
        // Whether a page may ask is not refused here: CORS answers.
        assert_eq!(ask(&hosts, "OPTIONS", &headers), 200, "{headers:?}");
    }
}

#[test]
fn a_link_on_a_page_of_another_site_may_be_followed() {
    let hosts = AllowedHosts::local();
    for site in ["cross-site", "same-site"] {
        let followed = |method, mode, destination| {
            let headers = [
                ("host", "localhost"),
                ("sec-fetch-site", site),
                ("sec-fetch-mode", mode),
                ("sec-fetch-dest", destination),
            ];
            ask(&hosts, method, &headers)
        };
        assert_eq!((followed("GET", "navigate", "document"), followed("HEAD", "navigate", "document")), (200, 200));
        // A form that is sent leads to a document, too.
        assert_eq!(followed("POST", "navigate", "document"), 403);
        for (mode, destination) in [
            ("navigate", "iframe"),
            ("navigate", "object"),
            ("navigate", "empty"),
            ("no-cors", "document"),
            ("no-cors", "image"),
            ("no-cors", "script"),
            ("no-cors", "empty"),
            ("cors", "empty"),
            ("websocket", "websocket"),
        ] {
            assert_eq!(followed("GET", mode, destination), 403, "{mode} {destination}");
        }
    }
}
