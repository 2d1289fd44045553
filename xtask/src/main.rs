//! Build, test and run.
fn main() {}
