#![doc = include_str!("../README.md")]
#![warn(missing_docs, unsafe_op_in_unsafe_fn)]
use std::ffi::{c_char, CStr};
use std::mem::{size_of, MaybeUninit};
use std::{fmt, io, ptr, ptr::NonNull};

pub use generator::{Finish, Generated, Generator, GeneratorParams};
pub use model::{Model, ModelInfo, ModelParams, WeightType};
pub use raw::gpt2_candidate as Candidate;
pub use raw::gpt2_token_logprob as TokenLogprob;
pub use sampling::{LogitsCallback, SampleParams};
pub use scoring::{ScoreItem, ScoreParams, TokenScore};
pub use session::{BatchItem, Canceller, KvType, OnFull, Sequence, Session, SessionParams};
pub use tap::{Tap, TapKind};
pub use tokenizer::{Offsets, Tokenizer};

mod generator;
mod model;
mod raw;
mod sampling;
mod scoring;
mod session;
pub mod status;
mod tap;
#[cfg(test)]
mod tests;
mod tokenizer;
mod writing;

/// What went wrong: a status of `gpt2.h`, and the library's line about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// A number of [`status`].
    pub status: i32,
    /// What was found and what was wanted, such as "token 1 is 70000, wanted 0 to 50256".
    pub line: String,
}

impl Error {
    fn argument(line: String) -> Error {
        Error {
            status: status::ARGUMENT,
            line,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.line)
    }
}

impl std::error::Error for Error {}

impl From<Error> for io::Error {
    fn from(error: Error) -> io::Error {
        io::Error::other(error)
    }
}

/// What fallible calls return.
pub type Result<T> = std::result::Result<T, Error>;

/// The version of the library in use, such as "0.1.0".
pub fn version() -> &'static str {
    let version = unsafe { CStr::from_ptr(raw::gpt2_version()) };
    version.to_str().unwrap_or("")
}

/// An error if `status` is one; `line` is the library's, or empty.
fn check(status: i32, line: &CStr) -> Result<()> {
    if status == raw::OK {
        return Ok(());
    }
    let text = unsafe { CStr::from_ptr(raw::gpt2_strerror(status)) };
    let line = if line.is_empty() { text } else { line };
    Err(Error {
        status,
        line: line.to_string_lossy().into_owned(),
    })
}

/// [`check`] with the line in a buffer that the call got.
fn check_buffer(status: i32, line: &[u8]) -> Result<()> {
    check(status, CStr::from_bytes_until_nul(line).unwrap_or_default())
}

/// A params struct with the library's defaults.
fn params<P>(init: unsafe extern "C" fn(*mut P, usize) -> i32) -> P {
    let mut params = MaybeUninit::uninit();
    let status = unsafe { init(params.as_mut_ptr(), size_of::<P>()) };
    assert_eq!(
        status,
        raw::OK,
        "a libgpt2 that is no later release of the same ABI"
    );
    unsafe { params.assume_init() }
}

/// Calls a creating function with a buffer for its line.
fn create<T>(call: impl FnOnce(*mut c_char, usize, *mut *mut T) -> i32) -> Result<NonNull<T>> {
    let (mut line, mut object) = ([0u8; 1024], ptr::null_mut());
    let status = call(line.as_mut_ptr().cast(), line.len(), &mut object);
    check_buffer(status, &line)?;
    Ok(NonNull::new(object).expect("created"))
}
