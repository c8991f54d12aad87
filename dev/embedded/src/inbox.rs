//! An SESv2 endpoint that delivers nothing: it keeps what it is sent and shows it, as JSON and on a page for people.
//!
//! `SendEmail` is all it knows of SES; everything else is refused in SES's own shape. Mails live in memory only, the newest
//! [`MESSAGES_KEPT`] of them and no more than [`BYTES_KEPT`].

mod mailbox;
mod routes;
mod send_email;

pub use mailbox::{BYTES_KEPT, MESSAGES_KEPT, Mailbox, Message};
pub use routes::{BODY_LIMIT, router};

use std::{net::SocketAddr, sync::Arc};

use hyper_util::service::TowerToHyperService;

use crate::loopback::{self, ListenError, Server};

/// A running inbox. Stops when dropped.
#[derive(Debug)]
pub struct Inbox {
    server: Server,
    mailbox: Mailbox,
}

impl Inbox {
    /// Starts the inbox; port 0 takes any free port. Signatures are not checked: any credentials will do.
    pub async fn start(address: SocketAddr) -> Result<Self, ListenError> {
        Self::start_known_as(address, None).await
    }

    /// The same, for requests under the hosts that are named; `None`: under those [usual there](problem::AllowedHosts::for_listener).
    pub async fn start_known_as(address: SocketAddr, names: Option<&[String]>) -> Result<Self, ListenError> {
        let listening = loopback::listen(address).await?.known_as(names);
        let mailbox = Mailbox::default();
        let server = Server::start(listening, TowerToHyperService::new(router(mailbox.clone())));
        Ok(Self { server, mailbox })
    }

    /// The endpoint's URL, for the SDK's `endpoint_url` and for a browser.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// The address that it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// The mails kept, newest first.
    #[must_use]
    pub fn messages(&self) -> Vec<Arc<Message>> {
        self.mailbox.newest(usize::MAX)
    }

    /// How many mails were accepted since the start, kept or not.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.mailbox.accepted()
    }

    /// Takes no more mails; requests under way are answered.
    pub async fn stop(self) {
        self.server.stop().await;
    }
}
