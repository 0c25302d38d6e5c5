//! Compiles the C sources with `CC` and links them statically; with GPT2_LIB_DIR it links the shared
//! library of that folder instead.  For a target, CC_<target> or TARGET_CC is the compiler, AR_<target>
//! or TARGET_AR the archiver, CFLAGS_<target> or TARGET_CFLAGS are flags, before CC, AR and CFLAGS.
use std::cmp::Reverse;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{env, fs, thread};

type Result<T> = std::result::Result<T, String>;

fn main() {
    let dir = variable("GPT2_LIB_DIR");
    let linked = if dir.is_empty() {
        link_sources()
    } else {
        link_shared(&dir)
    };
    if let Err(line) = linked {
        eprintln!("gpt2: {line}");
        process::exit(1);
    }
}

fn link_shared(dir: &str) -> Result<()> {
    let dir = fs::canonicalize(dir).map_err(|error| format!("GPT2_LIB_DIR, {dir}: {error}"))?;
    println!("cargo:rustc-link-search=native={}", dir.display());
    println!("cargo:rustc-link-lib=dylib=gpt2");
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", dir.display()); // for what is built here
    Ok(())
}

fn link_sources() -> Result<()> {
    let (root, out) = (root(), PathBuf::from(cargo("OUT_DIR")));
    let headers = root.join("include");
    println!("cargo:include={}", headers.display());
    println!("cargo:rerun-if-changed=build.rs");
    println!(
        "cargo:rerun-if-changed={}",
        headers.join("gpt2.h").display()
    );
    let is_windows = cargo("CARGO_CFG_TARGET_FAMILY") == "windows";
    if cargo("CARGO_CFG_TARGET_ENV") == "msvc" {
        return Err("MSVC cannot compile libgpt2: build for x86_64-pc-windows-gnu".into());
    }

    let cc = compiler()?;
    let mut flags: Vec<String> = ["-std=c11", "-O2", "-fvisibility=hidden"]
        .map(String::from)
        .into();
    flags.extend((!is_windows).then(|| "-fPIC".into()));
    flags.extend(["-I".into(), headers.display().to_string()]);
    flags.extend(words("CFLAGS"));
    let sources = sources(&root.join("lib"))?;
    let object = |path: &PathBuf| out.join(path.with_extension("o").file_name().unwrap());
    in_parallel(sources.len(), |i| {
        let mut command = command(&cc);
        command.args(&flags).arg("-c").arg(&sources[i]);
        run(command.arg("-o").arg(object(&sources[i])))
    })?;

    let library = out.join("libgpt2.a");
    let _ = fs::remove_file(&library); // what an earlier build has left
    let ar = Some(words("AR")).filter(|words| !words.is_empty());
    let ar = ar.unwrap_or_else(|| vec!["ar".into()]);
    run(command(&ar)
        .arg("crs")
        .arg(&library)
        .args(sources.iter().map(object)))?;
    println!("cargo:rustc-link-search=native={}", out.display());
    println!("cargo:rustc-link-lib=static=gpt2");
    if !is_windows && cargo("CARGO_CFG_TARGET_VENDOR") != "apple" {
        println!("cargo:rustc-link-lib=m");
        println!("cargo:rustc-link-lib=pthread");
    }
    Ok(())
}

/// Where lib/ and include/ are.  In the package they are beside this file; so they are in a checkout
/// unless it has no symbolic links.
fn root() -> PathBuf {
    let package = PathBuf::from(cargo("CARGO_MANIFEST_DIR"));
    let is_here = package.join("lib").is_dir();
    package.join(if is_here { "" } else { "../.." })
}

/// What cargo says, or "".
fn cargo(name: &str) -> String {
    env::var(name).unwrap_or_default()
}

/// A variable of the user's environment, or "".
fn variable(name: &str) -> String {
    println!("cargo:rerun-if-env-changed={name}");
    env::var(name).unwrap_or_default()
}

/// The words of CC, AR or CFLAGS for the target, or none.
fn words(name: &str) -> Vec<String> {
    let target = cargo("TARGET");
    let mut names = vec![
        format!("{name}_{target}"),
        format!("{name}_{}", target.replace('-', "_")),
    ];
    names.extend((target != cargo("HOST")).then(|| format!("TARGET_{name}")));
    names.push(name.into());
    let values: Vec<String> = names.iter().map(|name| variable(name)).collect();
    let value = values.iter().find(|value| !value.trim().is_empty());
    let words = value.map_or("", |value| value).split_whitespace();
    words.map(String::from).collect()
}

fn compiler() -> Result<Vec<String>> {
    let (words, target) = (words("CC"), cargo("TARGET"));
    if !words.is_empty() {
        return Ok(words);
    }
    if target != cargo("HOST") {
        let name = format!("CC_{}", target.replace('-', "_"));
        return Err(format!("no C compiler for {target}: set {name}"));
    }
    Ok(vec!["cc".into()])
}

/// The .c files in the folders of lib/, the largest first.
fn sources(lib: &Path) -> Result<Vec<PathBuf>> {
    let list = |dir: &Path| -> Result<Vec<PathBuf>> {
        let fails = |error| format!("{}: {error}", dir.display());
        let entries = fs::read_dir(dir).map_err(fails)?;
        let paths = entries.map(|entry| entry.map(|entry| entry.path()));
        paths.collect::<std::io::Result<_>>().map_err(fails)
    };
    let mut files = Vec::new();
    println!("cargo:rerun-if-changed={}", lib.display());
    for folder in list(lib)?.into_iter().filter(|path| path.is_dir()) {
        println!("cargo:rerun-if-changed={}", folder.display());
        files.extend(list(&folder)?);
    }
    files.retain(|path| path.extension() == Some("c".as_ref()));
    files.sort();
    files.sort_by_key(|path| Reverse(path.metadata().map_or(0, |file| file.len())));
    Ok(files)
}

fn command(words: &[String]) -> Command {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    command
}

fn run(command: &mut Command) -> Result<()> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{status}: {command:?}")),
        Err(error) => Err(format!(
            "{}: {error}",
            command.get_program().to_string_lossy()
        )),
    }
}

/// Calls work(i) for each i below n, on as many threads as cargo has jobs and the machine CPUs, until
/// one fails.
fn in_parallel(n: usize, work: impl Fn(usize) -> Result<()> + Sync) -> Result<()> {
    let next = AtomicUsize::new(0);
    let one_thread = || loop {
        let i = next.fetch_add(1, Ordering::Relaxed);
        if i >= n {
            return Ok(());
        }
        if let Err(line) = work(i) {
            next.store(n, Ordering::Relaxed);
            return Err(line);
        }
    };
    let n_cpus = thread::available_parallelism().map_or(1, usize::from);
    let n_threads = cargo("NUM_JOBS")
        .parse()
        .map_or(n_cpus, |jobs| n_cpus.min(jobs));
    thread::scope(|scope| {
        let threads: Vec<_> = (0..n_threads).map(|_| scope.spawn(one_thread)).collect();
        let results = threads.into_iter().map(|thread| thread.join().unwrap());
        results.fold(Ok(()), Result::and)
    })
}
