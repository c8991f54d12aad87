//! What all pages have in common: the navigation, and who is signed in.

use std::sync::Arc;

use crate::action::RefusedForm;
use crate::admission::Reader;
use crate::display::Text;
use crate::live::LivePage;
use crate::session::form_token;

/// The frame of a page.
pub(crate) struct Frame {
    pub(crate) title: String,
    pub(crate) links: Vec<NavigationLink>,
    /// Who reads it, as `role:subject`. `None`: that is not known.
    pub(crate) reader: Option<Text>,
    /// The token of the form that signs out, if there is a session.
    pub(crate) sign_out: Option<String>,
    /// What was done before.
    pub(crate) said: Option<Text>,
    /// The form that was sent and refused.
    pub(crate) refused: Option<Arc<RefusedForm>>,
    /// How the page follows what it shows, if it can.
    pub(crate) live: Option<LivePage>,
}

pub(crate) struct NavigationLink {
    pub(crate) path: &'static str,
    pub(crate) name: &'static str,
    pub(crate) is_current: bool,
}

/// The pages of the navigation: path, name, and the route of the API that says who may see it; `None`: everyone.
const PAGES: [(&str, &str, Option<&str>); 13] = [
    ("/", "Home", None),
    ("/orders", "Orders", Some("/orders")),
    ("/sagas", "Sagas", Some("/sagas")),
    ("/sales", "Sales", Some("/sales")),
    ("/stock", "Stock", Some("/stock")),
    ("/log", "Log", Some("/events")),
    ("/read-models", "Read models", Some("/read-models")),
    ("/audit", "Audit", Some("/audit")),
    ("/parked-events", "Parked events", Some("/sagas")),
    ("/dead-letters", "Dead letters", Some("/dead-letters")),
    ("/bulk-actions", "Bulk actions", Some("/bulk-actions")),
    ("/replay", "Rebuilds", Some("/admin/replays")),
    ("/platform", "Platform", Some("/sagas")),
];

impl Frame {
    /// The frame of a page for its reader. `path`: its entry of the navigation.
    pub(crate) fn of(reader: &Reader, title: impl Into<String>, path: &str) -> Self {
        let pages = PAGES.iter().filter(|(_, _, route)| route.is_none_or(|route| reader.may_read(route)));
        let link = |(at, name, _): &(&'static str, &'static str, Option<&str>)| NavigationLink {
            path: at,
            name,
            is_current: *at == path,
        };
        Self {
            title: title.into(),
            links: pages.map(link).collect(),
            reader: Some(reader.principal.actor().into()),
            sign_out: reader.session.as_deref().map(|cookie| form_token(cookie, "sign-out")),
            said: reader.said.as_ref().map(|said| said.0.clone()),
            refused: reader.refused.clone(),
            live: None,
        }
    }

    /// The frame of a page that may follow what it shows.
    pub(crate) fn following(mut self, live: Option<LivePage>) -> Self {
        self.live = live;
        self
    }

    /// A frame for somebody of whom nothing is known.
    pub(crate) fn without_reader(title: impl Into<String>) -> Self {
        let title = title.into();
        Self { title, links: Vec::new(), reader: None, sign_out: None, said: None, refused: None, live: None }
    }
}
