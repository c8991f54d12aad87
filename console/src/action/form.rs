//! A form as a page shows it.

use std::sync::Arc;

use super::{RefusedForm, form_token, purpose};
use crate::admission::Reader;
use crate::display::Text;
use crate::session::random_text;

/// A form of a page that does something. `templates/action.html` shows it.
pub(crate) struct ActionForm {
    /// Which of the page's forms it is.
    pub(crate) id: String,
    /// What it does, in a word or two: on its button, and in what is said once it is done.
    pub(crate) title: Text,
    /// What it will do.
    pub(crate) explanations: Vec<Text>,
    pub(crate) action: String,
    pub(crate) method: &'static str,
    pub(crate) token: String,
    /// The idempotency key. However often it is sent, it is done once.
    pub(crate) key: String,
    /// The version that was looked at.
    pub(crate) version: Option<i64>,
    /// The page to go back to. Empty: the one that the API's answer names.
    pub(crate) back: String,
    /// The page that shows the form again if it is refused. Empty: `back`.
    pub(crate) page: String,
    pub(crate) hidden: Vec<(String, String)>,
    pub(crate) fields: Vec<Field>,
    /// Whether it is shown at once, because it was refused.
    pub(crate) is_open: bool,
    refused: Option<Arc<RefusedForm>>,
}

/// A field to fill in. Its name is the place in the request's JSON; see [`super::body`].
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) label: Text,
    pub(crate) control: Control,
    pub(crate) value: String,
    pub(crate) is_required: bool,
    pub(crate) hint: Option<Text>,
    pub(crate) errors: Vec<Text>,
}

/// How a field is filled in.
pub(crate) enum Control {
    Line,
    Number,
    Words,
    /// Values with their labels.
    Choice(Vec<(String, Text)>),
}

/// The path of a route with these ids in it.
pub(crate) fn fill(route: &str, ids: &[&str]) -> String {
    let mut ids = ids.iter();
    let parts = route.split('/').map(|part| match part.starts_with('{') {
        true => ids.next().map_or_else(String::new, |id| Text::from(*id).in_path()),
        false => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join("/")
}

impl Reader {
    /// A form for a route of the API. `None`: the reader may not call it, or nobody can do anything here.
    pub(crate) fn form(
        &self,
        (method, route): (&'static str, &str),
        ids: &[&str],
        title: impl Into<Text>,
        back: impl Into<String>,
    ) -> Option<ActionForm> {
        let secret = self.form_secret.as_deref()?;
        if !self.may(method, route) {
            return None;
        }
        let action = fill(route, ids);
        let token = form_token(secret, &purpose(method, &action));
        let form = ActionForm {
            id: action.split('/').skip(1).collect::<Vec<_>>().join("-"),
            title: title.into(),
            explanations: Vec::new(),
            method,
            token,
            key: random_text().ok()?,
            version: None,
            back: back.into(),
            page: String::new(),
            hidden: Vec::new(),
            fields: Vec::new(),
            is_open: false,
            refused: self.refused.clone().filter(|refused| refused.purpose == purpose(method, &action)),
            action,
        };
        Some(form)
    }
}

impl ActionForm {
    /// What it does, to tell whether a form that was sent is this one.
    pub(crate) fn purpose(&self) -> String {
        purpose(self.method, &self.action)
    }

    /// Tells it from another of the page that is sent to the same route.
    pub(crate) fn named(mut self, name: &str) -> Self {
        self.id = format!("{}-{name}", self.id);
        self
    }

    /// It is refused if the order has another version by then.
    pub(crate) fn at_version(mut self, version: i64) -> Self {
        self.version = Some(version);
        self
    }

    /// If it is refused, it is shown again on this page, which is not the one to go back to.
    pub(crate) fn on_page(mut self, page: impl Into<String>) -> Self {
        self.page = page.into();
        self
    }

    pub(crate) fn explained(mut self, text: impl Into<Text>) -> Self {
        self.explanations.push(text.into());
        self
    }

    /// What the request says beside what is typed.
    pub(crate) fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.hidden.push((name.into(), value.into()));
        self
    }

    pub(crate) fn field(mut self, field: Field) -> Self {
        self.fields.push(field);
        self
    }

    /// The form with what was typed into it, if it was sent and refused. Comes last.
    pub(crate) fn finished(mut self) -> Self {
        let refused = self.refused.clone().filter(|refused| refused.id == self.id && !refused.was_done);
        let Some(refused) = refused else { return self };
        self.is_open = true;
        for field in &mut self.fields {
            field.value = refused.fields.field(&field.name).to_owned();
            let errors = refused.field_errors.iter().filter(|(name, _)| *name == field.name);
            field.errors = errors.map(|(_, message)| message.as_str().into()).collect();
        }
        self
    }
}

impl Field {
    fn new(name: impl Into<String>, label: impl Into<Text>, control: Control) -> Self {
        Self {
            name: name.into(),
            label: label.into(),
            control,
            value: String::new(),
            is_required: false,
            hint: None,
            errors: Vec::new(),
        }
    }

    /// A line of text.
    pub(crate) fn line(name: impl Into<String>, label: impl Into<Text>) -> Self {
        Self::new(name, label, Control::Line)
    }

    /// A number, as text: it may have decimals.
    pub(crate) fn number(name: impl Into<String>, label: impl Into<Text>) -> Self {
        Self::new(name, label, Control::Number)
    }

    /// Several lines.
    pub(crate) fn words(name: impl Into<String>, label: impl Into<Text>) -> Self {
        Self::new(name, label, Control::Words)
    }

    /// One of these values, each with its label.
    pub(crate) fn choice<V: Into<String>, L: Into<Text>>(
        name: impl Into<String>,
        label: impl Into<Text>,
        choices: impl IntoIterator<Item = (V, L)>,
    ) -> Self {
        let choices = choices.into_iter().map(|(value, label)| (value.into(), label.into()));
        Self::new(name, label, Control::Choice(choices.collect()))
    }

    pub(crate) fn required(mut self) -> Self {
        self.is_required = true;
        self
    }

    pub(crate) fn hint(mut self, hint: impl Into<Text>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn filled(mut self, value: impl Into<String>) -> Self {
        self.value = value.into();
        self
    }
}
