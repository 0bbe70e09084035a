//! How the daemon is linked.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // The addresses that the loader sets right at each start take a tenth of their place in this
    // form, and as much less of the daemon's memory. A linker that does not know it says so and
    // leaves them as they are; glibc knows it from 2.36 on, musl from 1.2.4.
    println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
}
