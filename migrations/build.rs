//! Rebuilds the crate when a migration is added: the list is compiled in.
fn main() {
    println!("cargo:rerun-if-changed=sql");
}
