//! A service that accepts connections and stops answering, for good or for a while.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use url::Url;

/// Stands in front of a service, and is as silent as a network that drops everything once it is told to be.
pub(crate) struct SilenceableProxy {
    port: u16,
    is_silent: watch::Sender<bool>,
    connections: Arc<AtomicUsize>,
    /// Ends with this value.
    _accepting: JoinSet<()>,
}

impl SilenceableProxy {
    /// Passes everything on to the service at `url`.
    pub(crate) async fn in_front_of(url: &str) -> Self {
        let url = Url::parse(url).unwrap();
        let service = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let ((is_silent, silence), connections) = (watch::channel(false), Arc::new(AtomicUsize::new(0)));
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, service, silence, Arc::clone(&connections)));
        Self { port, is_silent, connections, _accepting: accepting }
    }

    /// Has never said a word.
    pub(crate) async fn silent() -> Self {
        let nobody = Self::in_front_of("http://127.0.0.1:9").await;
        nobody.fall_silent();
        nobody
    }

    /// From now on nothing passes, and nothing is closed either.
    pub(crate) fn fall_silent(&self) {
        self.is_silent.send_replace(true);
    }

    /// Whoever connects from now on is heard. The connections that met the silence are closed.
    pub(crate) fn come_back(&self) {
        self.is_silent.send_replace(false);
    }

    /// How often someone connected.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    pub(crate) fn http_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// That URL with this address.
    pub(crate) fn url_like(&self, url: &str) -> String {
        let mut url = Url::parse(url).unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(self.port)).unwrap();
        url.into()
    }
}

async fn accept(listener: TcpListener, service: String, silence: watch::Receiver<bool>, connections: Arc<AtomicUsize>) {
    let mut open = JoinSet::new();
    loop {
        let (mut client, _) = listener.accept().await.unwrap();
        connections.fetch_add(1, Ordering::Relaxed);
        let (service, mut silence) = (service.clone(), silence.clone());
        open.spawn(async move {
            let passing = async {
                let mut service = TcpStream::connect(service).await.unwrap();
                // Either side may go as it likes.
                let _ = copy_bidirectional(&mut client, &mut service).await;
            };
            // The streams live on in this frame: while they are silent, they are not closed.
            let mut passing = std::pin::pin!(passing);
            tokio::select! {
                biased;
                _ = silence.wait_for(|silent| *silent) => {}
                () = &mut passing => return,
            }
            // An error is the end of the test.
            let _ = silence.wait_for(|silent| !*silent).await;
        });
    }
}
