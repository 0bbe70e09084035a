//! The same test with every pairing of daemons.

/// Makes tests of scenarios, functions `fn(a: Software, b: Software)`: one for each pairing of the
/// daemons on the two nodes, in a module of the scenario's name.
///
/// The pairing of keepalived with itself proves the test; the others prove ours.
#[macro_export]
macro_rules! pairings {
    ($($scenario:ident),+ $(,)?) => {$(
        mod $scenario {
            use $crate::Software::{Director, Keepalived};

            #[test]
            #[cfg_attr(not(feature = "lab"), ignore = "lab: needs root and network namespaces")]
            fn keepalived_and_keepalived() {
                super::$scenario(Keepalived, Keepalived);
            }

            #[test]
            #[cfg_attr(not(feature = "lab"), ignore = "lab: needs root and network namespaces")]
            fn director_and_keepalived() {
                super::$scenario(Director, Keepalived);
            }

            #[test]
            #[cfg_attr(not(feature = "lab"), ignore = "lab: needs root and network namespaces")]
            fn keepalived_and_director() {
                super::$scenario(Keepalived, Director);
            }

            #[test]
            #[cfg_attr(not(feature = "lab"), ignore = "lab: needs root and network namespaces")]
            fn director_and_director() {
                super::$scenario(Director, Director);
            }
        }
    )+};
}
