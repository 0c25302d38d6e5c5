//! Links the shared library in GPT2_LIB_DIR, or else in the build/ folder of this checkout.
use std::{env, fs, path::PathBuf};

fn main() {
    println!("cargo:rerun-if-env-changed=GPT2_LIB_DIR");
    let dir =
        env::var_os("GPT2_LIB_DIR").map_or_else(|| PathBuf::from("../../build"), PathBuf::from);
    let dir = fs::canonicalize(&dir).unwrap_or_else(|error| {
        panic!("GPT2_LIB_DIR, {}: {error}: `make` builds it", dir.display())
    });
    println!("cargo:rustc-link-search=native={}", dir.display());
    println!("cargo:rustc-link-lib=dylib=gpt2");
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", dir.display());
}
