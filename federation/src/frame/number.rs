//! Lists of numbered reasons that grow: what this code does not know stays a number.
//!
//! Does: one macro for the enums of refusals, roles and requests. Does not: judge them.
//! In: a u16 of the wire. Out: a variant, or `Other(number)`, which is written back unchanged; so a
//! newer neighbour's reason never makes a frame unreadable.

macro_rules! numbered {
    (
        $(#[$outer:meta])* pub enum $name:ident {
            $($(#[$doc:meta])* $variant:ident = $number:literal, $text:literal;)*
        }
    ) => {
        $(#[$outer])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash,
            serde::Serialize, serde::Deserialize,
        )]
        #[serde(from = "u16", into = "u16")]
        pub enum $name {
            $($(#[$doc])* $variant,)*
            /// Of a newer neighbour, by its number.
            Other(u16),
        }

        impl $name {
            /// Every one that this code knows.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its name in logs and metrics; `other` for an unknown one.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)* Self::Other(_) => "other" }
            }

            /// Its number on the wire.
            #[must_use]
            pub fn number(self) -> u16 {
                match self { $(Self::$variant => $number,)* Self::Other(number) => number }
            }
        }

        impl From<u16> for $name {
            fn from(number: u16) -> Self {
                match number { $($number => Self::$variant,)* other => Self::Other(other) }
            }
        }

        impl From<$name> for u16 {
            fn from(value: $name) -> Self {
                value.number()
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self {
                    Self::Other(number) => write!(formatter, "other/{number}"),
                    known => formatter.write_str(known.name()),
                }
            }
        }
    };
}

pub(super) use numbered;
