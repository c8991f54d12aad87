//! Defines the enum of an aggregate's events.

/// `events! { /// What it is. Name, UPCASTS { /// What happened. SomethingHappened, … } }`: an enum with a variant for each type of
/// event that is in scope, their names, and the versions that follow from the changes of their shapes. After `UPCASTS`, a function may
/// name the version of an event that is not written in the newest one.
macro_rules! events {
    ($(#[$about:meta])* $events:ident, $upcasts:ident $(, $earlier_version:ident)? { $($(#[$doc:meta])* $name:ident,)* }) => {
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
        #[cfg_attr(test, derive(schemars::JsonSchema))]
        pub enum $events {
            $($(#[$doc])* $name($name),)*
        }

        impl $events {
            /// The names of all events, as stored.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($name)),*];

            /// The event's name, as stored.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => stringify!($name),)*
                }
            }
        }

        impl cqrs_es::DomainEvent for $events {
            fn event_type(&self) -> String {
                self.name().to_owned()
            }

            fn event_version(&self) -> String {
                $(if let Some(version) = $earlier_version(self) {
                    return version.to_owned();
                })?
                event_versions::current_version($upcasts, self.name()).to_owned()
            }
        }
    };
}

pub(crate) use events;
