//! With a certificate both listeners speak https alone.

use crate::support::{Ordo, folder, run};

#[tokio::test]
async fn with_a_certificate_both_listeners_speak_https_alone() {
    let folder = folder();
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let file = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (certificate, key) =
        (file("certificate.pem", made.cert.pem()), file("key.pem", made.signing_key.serialize_pem()));
    // With a certificate it has to be said who is let in.
    let asked_by_others = ("ORDO_REQUIRE_AUTH", "true");
    let ordo = Ordo::up(&[("ORDO_TLS_CERTIFICATE", &certificate), ("ORDO_TLS_KEY", &key), asked_by_others]).await;
    for url in [&ordo.api, &ordo.ops] {
        assert!(url.starts_with("https://127.0.0.1:"), "{url}");
        let url = format!("{url}/health/ready");
        let asked = run(&["health", "--url", &url, "--ca", &certificate], &[]).await;
        assert_eq!(asked.code, 0, "{url}: {asked:?}");
        let plain = url.replace("https://", "http://");
        assert_ne!(run(&["health", "--url", &plain], &[]).await.code, 0, "{plain}");
    }
}

#[tokio::test]
async fn commands_say_what_is_wrong_with_the_certificate_of_a_platform_that_answers() {
    let folder = folder();
    let file = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    // As `openssl req -x509` makes it without further ado.
    let mut authority = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authoritys_key = rcgen::KeyPair::generate().unwrap();
    let authority = authority.self_signed(&authoritys_key).unwrap();
    let certificate = file("certificate.pem", authority.pem());
    let key = file("key.pem", authoritys_key.serialize_pem());
    let settings =
        [("ORDO_TLS_CERTIFICATE", certificate.as_str()), ("ORDO_TLS_KEY", &key), ("ORDO_REQUIRE_AUTH", "true")];
    let ordo = Ordo::up(&settings).await;

    let health = format!("{}/health/ready", ordo.api);
    for command in [&["health", "--url", &health][..], &["tail", "--api", &ordo.api], &["demo", "--api", &ordo.api]] {
        let told = run(&[command, &["--ca", &certificate]].concat(), &[]).await;
        let answers = format!("{} answers, but its certificate can't be trusted: ", ordo.api);
        assert_eq!((told.code, told.err.lines().count()), (1, 1), "{told:?}");
        assert!(told.err.contains(&answers) && told.err.contains("CA:FALSE"), "{told:?}");
        assert!(!told.err.contains("ordo up"), "{told:?}");
    }
}
