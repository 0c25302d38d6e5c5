//! Compiles the C sources with `CC` and links them statically; with GPT2_LIB_DIR it links the shared
//! library of that folder instead.  For a target, CC_<target> or TARGET_CC is the compiler, AR_<target>
//! or TARGET_AR the archiver, CFLAGS_<target> or TARGET_CFLAGS are flags, before CC, AR and CFLAGS.
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{env, fs, thread};

fn main() {
    let dir = variable("GPT2_LIB_DIR");
    let headers = root().join("include");
    println!("cargo:include={}", absolute(&headers).display());
    if dir.is_empty() {
        compile(&headers);
    } else {
        let dir = absolute(Path::new(&dir));
        println!("cargo:rustc-link-search=native={}", dir.display());
        println!("cargo:rustc-link-lib=dylib=gpt2");
        println!("cargo:rustc-link-arg=-Wl,-rpath,{}", dir.display()); // for what is built here
    }
}

/// Where lib/ and include/ are.  In the package they are beside this file; so they are in a checkout
/// unless it has no symbolic links.
fn root() -> &'static Path {
    Path::new(if Path::new("lib").is_dir() {
        "."
    } else {
        "../.."
    })
}

fn absolute(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A variable of the environment, or "".
fn variable(name: &str) -> String {
    println!("cargo:rerun-if-env-changed={name}");
    env::var(name).unwrap_or_default()
}

/// The words of CC, AR or CFLAGS for the target, or none.
fn words(name: &str) -> Vec<String> {
    let target = variable("TARGET");
    let names = [
        format!("{name}_{target}"),
        format!("{name}_{}", target.replace('-', "_")),
        format!("TARGET_{name}"),
        name.into(),
    ];
    let values = names.iter().map(|name| variable(name));
    let words = values.map(|value| value.split_whitespace().map(String::from).collect());
    words
        .into_iter()
        .find(|words: &Vec<_>| !words.is_empty())
        .unwrap_or_default()
}

/// The command of a tool: CC or AR.
fn tool(name: &str, default: &str) -> Command {
    let (words, target) = (words(name), variable("TARGET"));
    if words.is_empty() && name == "CC" && target != variable("HOST") {
        panic!(
            "no C compiler for {target}: set CC_{}",
            target.replace('-', "_")
        );
    }
    let mut command = Command::new(words.first().map_or(default, |word| word));
    command.args(words.iter().skip(1));
    command
}

fn run(mut command: Command) {
    match command.status() {
        Ok(status) if status.success() => (),
        Ok(status) => panic!("{status}: {command:?}"),
        Err(error) => panic!("{}: {error}", command.get_program().to_string_lossy()),
    }
}

/// The .c files of lib/, the largest first.
fn sources() -> Vec<PathBuf> {
    let list = |dir: &Path| {
        let entries =
            fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
        entries
            .map(|entry| entry.unwrap().path())
            .collect::<Vec<_>>()
    };
    let folders = list(&root().join("lib"))
        .into_iter()
        .filter(|path| path.is_dir());
    let mut files = Vec::new();
    for folder in folders {
        println!("cargo:rerun-if-changed={}", folder.display());
        files.extend(
            list(&folder)
                .into_iter()
                .filter(|path| path.extension() == Some("c".as_ref())),
        );
    }
    files.sort_by_key(|path| {
        (
            std::cmp::Reverse(fs::metadata(path).unwrap().len()),
            path.clone(),
        )
    });
    files
}

fn compile(headers: &Path) {
    println!("cargo:rerun-if-changed=build.rs");
    println!(
        "cargo:rerun-if-changed={}",
        headers.join("gpt2.h").display()
    );
    let out = PathBuf::from(variable("OUT_DIR"));
    let windows = variable("CARGO_CFG_TARGET_FAMILY") == "windows";
    if variable("CARGO_CFG_TARGET_ENV") == "msvc" {
        panic!("libgpt2 needs gcc or clang: build for x86_64-pc-windows-gnu");
    }
    let sources = sources();
    let objects: Vec<PathBuf> = sources
        .iter()
        .map(|path| out.join(path.with_extension("o").file_name().unwrap()))
        .collect();
    let flags = words("CFLAGS");
    let compile_one = |i: usize| {
        let mut cc = tool("CC", "cc");
        cc.args(["-std=c11", "-O2", "-fvisibility=hidden"]);
        cc.args((!windows).then_some("-fPIC"));
        cc.arg("-I").arg(headers).args(&flags);
        cc.arg("-c").arg("-o").args([&objects[i], &sources[i]]);
        run(cc);
    };
    let next = AtomicUsize::new(0);
    let n_cpus = thread::available_parallelism().map_or(1, usize::from);
    let n_threads = variable("NUM_JOBS").parse().unwrap_or(1).min(n_cpus);
    thread::scope(|scope| {
        for _ in 0..n_threads {
            scope.spawn(|| loop {
                match next.fetch_add(1, Ordering::Relaxed) {
                    i if i < sources.len() => compile_one(i),
                    _ => break,
                }
            });
        }
    });

    let library = out.join("libgpt2.a");
    let _ = fs::remove_file(&library); // what an earlier build has left
    let mut ar = tool("AR", "ar");
    ar.arg("crs").arg(&library).args(&objects);
    run(ar);
    println!("cargo:rustc-link-search=native={}", out.display());
    println!("cargo:rustc-link-lib=static=gpt2");
    if !windows && variable("CARGO_CFG_TARGET_VENDOR") != "apple" {
        println!("cargo:rustc-link-lib=m");
        println!("cargo:rustc-link-lib=pthread");
    }
}
