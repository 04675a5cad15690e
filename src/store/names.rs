//! Values that are stored by their names: one list for Postgres, JSON and whoever types them. Decides nothing.

/// `name` and `FromStr` of a type without data.
macro_rules! names {
    ($type:ty, $what:literal, $($variant:ident = $name:literal),+) => {
        impl $type {
            /// The name in Postgres and JSON.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }
        impl std::str::FromStr for $type {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($name => Ok(Self::$variant),)+
                    _ => Err(format!(concat!("unknown ", $what, " {:?}; expected one of: ", $($name, " "),+), text)),
                }
            }
        }
    };
}
pub(crate) use names;
