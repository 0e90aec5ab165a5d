//! Entry point for `shuttle-runtime`. The hosting service that it was made for has closed; see
//! the README.

fn main() {
    eprintln!("herald-shuttle is not part of this version");
}
