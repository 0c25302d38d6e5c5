//! libgpt2 for Rust: what `gpt2.h` asks of its callers, said in types.
//!
//! A [`Session`] borrows its [`Model`], so it cannot outlive it.  Logits borrow their session
//! mutably, so they are read before its next call or not at all.  A [`Sequence`] is one text of its
//! session; another session refuses it.  A [`Generator`] continues texts; the session steps it,
//! alone or with others.
use std::ffi::{c_char, CStr, CString};
use std::marker::PhantomData;
use std::mem::{size_of, MaybeUninit};
use std::ops::Range;
use std::{fmt, io, os::unix::ffi::OsStrExt, path::Path, ptr, ptr::NonNull};

pub use generator::{Finish, Generated, Generator, GeneratorParams};
pub use raw::gpt2_candidate as Candidate;
pub use raw::gpt2_model_info as ModelInfo;
pub use raw::gpt2_token_logprob as TokenLogprob;
pub use sampling::{LogitsCallback, SampleParams};
pub use scoring::{ScoreItem, ScoreParams, TokenScore};
pub use session::{BatchItem, KvType, OnFull, Sequence, Session, SessionParams};

mod generator;
mod raw;
mod sampling;
mod scoring;
mod session;
#[cfg(test)]
mod tests;
mod writing;

/// What went wrong: a status of `gpt2.h`, and the library's line about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Error {
    pub status: i32,
    pub line: String,
}

impl Error {
    fn argument(line: String) -> Error {
        Error {
            status: raw::ERR_ARGUMENT,
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

pub type Result<T> = std::result::Result<T, Error>;

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
    check(
        status,
        CStr::from_bytes_until_nul(&line).unwrap_or_default(),
    )?;
    Ok(NonNull::new(object).expect("created"))
}

/// The type of weights in memory.
#[repr(i32)]
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum WeightType {
    /// That which each matrix has in the file.
    AsFile = raw::TYPE_AS_FILE,
    F32 = raw::TYPE_F32,
    F16 = raw::TYPE_F16,
    BF16 = raw::TYPE_BF16,
    /// 8 bits a weight, rounded while loading.
    Q8 = raw::TYPE_Q8,
    /// 4 bits a weight, rounded while loading; the token embeddings and the head have 8.
    Q4 = raw::TYPE_Q4,
}

/// Weights, and the tokenizer where its files lie beside them.
pub struct Model(NonNull<raw::gpt2_model>);

unsafe impl Send for Model {} // a model is immutable
unsafe impl Sync for Model {}

impl Model {
    /// Reads a Hugging Face directory, or a native file, whose checksum it compares.
    pub fn load(path: impl AsRef<Path>) -> Result<Model> {
        Model::load_as(path, WeightType::AsFile)
    }

    /// The same, with the weights of another type in memory.
    pub fn load_as(path: impl AsRef<Path>, weight_type: WeightType) -> Result<Model> {
        Model::open(path.as_ref(), weight_type, raw::FILE_READ)
    }

    /// Opens a native file, which [`write`](Model::write) and `gpt2 convert` make, in milliseconds:
    /// the file is mapped.
    ///
    /// # Safety
    /// The file must not change or become shorter before the model is dropped.
    pub unsafe fn map(path: impl AsRef<Path>) -> Result<Model> {
        Model::open(path.as_ref(), WeightType::AsFile, raw::FILE_MAP)
    }

    fn open(path: &Path, weight_type: WeightType, file_access: i32) -> Result<Model> {
        let path = CString::new(path.as_os_str().as_bytes())
            .map_err(|error| Error::argument(format!("{}: {error}", path.display())))?;
        let mut params = params(raw::gpt2_model_params_init);
        params.weight_type = weight_type as i32;
        params.file_access = file_access;
        create(|line, size, model| {
            (params.errbuf, params.errbuf_size) = (line, size);
            unsafe { raw::gpt2_model_load(path.as_ptr(), &params, model) }
        })
        .map(Model)
    }

    /// Loads a model from memory: pairs of a name, such as "config.json", and the file's bytes.
    /// They are borrowed for this call.  Shards come with "model.safetensors.index.json".
    pub fn from_sources(files: &[(&str, &[u8])]) -> Result<Model> {
        let names: Vec<CString> = files
            .iter()
            .map(|(name, _)| {
                CString::new(*name).map_err(|error| Error::argument(format!("{name:?}: {error}")))
            })
            .collect::<Result<_>>()?;
        let sources: Vec<raw::gpt2_source> = names
            .iter()
            .zip(files)
            .map(|(name, (_, bytes))| raw::gpt2_source {
                name: name.as_ptr(),
                bytes: bytes.as_ptr().cast(),
                n_bytes: bytes.len() as u64,
                read: None,
                user: ptr::null_mut(),
            })
            .collect();
        let mut params = params(raw::gpt2_model_params_init);
        params.file_access = raw::FILE_READ;
        create(|line, size, model| {
            (params.errbuf, params.errbuf_size) = (line, size);
            unsafe { raw::gpt2_model_load_sources(sources.as_ptr(), sources.len(), &params, model) }
        })
        .map(Model)
    }

    /// Writes a file of the model, "native.safetensors" or another of gpt2_model_write()'s, in
    /// pieces, and does not flush.  Errors are as in [`Session::write`].
    pub fn write<W: io::Write>(&self, name: &str, writer: W) -> io::Result<()> {
        let c_name = CString::new(name)
            .map_err(|error| Error::argument(format!("write {name:?}: {error}")))?;
        let mut line = [0u8; 1024];
        let status = writing::write_to(writer, |write, user| unsafe {
            let (text, size) = (line.as_mut_ptr().cast(), line.len());
            raw::gpt2_model_write(self.0.as_ptr(), c_name.as_ptr(), write, user, text, size)
        })?;
        Ok(check(
            status,
            CStr::from_bytes_until_nul(&line).unwrap_or_default(),
        )?)
    }

    /// A weight as floats, row by row, and its shape, `[n, 1]` for a vector; names and shapes are
    /// Hugging Face's.
    pub fn tensor(&self, name: &str) -> Result<(Vec<f32>, [usize; 2])> {
        let c_name = CString::new(name)
            .map_err(|error| Error::argument(format!("tensor {name:?}: {error}")))?;
        let (mut shape, mut line) = ([0i64; 2], [0u8; 1024]);
        let mut read = |values: *mut f32, n_values| {
            let status = unsafe {
                let (text, size) = (line.as_mut_ptr().cast(), line.len());
                let (name, shape) = (c_name.as_ptr(), shape.as_mut_ptr());
                raw::gpt2_model_tensor(self.0.as_ptr(), name, shape, values, n_values, text, size)
            };
            check(
                status,
                CStr::from_bytes_until_nul(&line).unwrap_or_default(),
            )?;
            Ok(shape.map(|n| n as usize))
        };
        let shape = read(ptr::null_mut(), 0)?;
        let mut values = vec![0.0; shape[0] * shape[1]];
        read(values.as_mut_ptr(), values.len())?;
        Ok((values, shape))
    }

    pub fn info(&self) -> ModelInfo {
        let mut info = params(raw::gpt2_model_info_init);
        let status = unsafe { raw::gpt2_model_get_info(self.0.as_ptr(), &mut info) };
        assert_eq!(status, raw::OK);
        info
    }

    /// Why the model has no tokenizer although its files have one; else "".
    pub fn tokenizer_error(&self) -> &str {
        let line = unsafe { raw::gpt2_model_tokenizer_error(self.0.as_ptr()) };
        unsafe { CStr::from_ptr(line) }.to_str().unwrap_or("")
    }

    /// None if the model works on ids alone.
    pub fn tokenizer(&self) -> Option<Tokenizer<'_>> {
        let tokenizer = unsafe { raw::gpt2_model_tokenizer(self.0.as_ptr()) };
        NonNull::new(tokenizer.cast_mut()).map(|tokenizer| Tokenizer(tokenizer, PhantomData))
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        unsafe { raw::gpt2_model_free(self.0.as_ptr()) }
    }
}

/// Where a token is in its text.  A character is a code point, or a byte at which no well-formed
/// UTF-8 begins.
#[derive(Debug, Clone, PartialEq)]
pub struct Offsets {
    pub bytes: Range<usize>,
    /// A token that has only a part of a character still counts that character.
    pub chars: Range<usize>,
}

/// A model's tokenizer, borrowed from it.
#[derive(Clone, Copy)]
pub struct Tokenizer<'m>(NonNull<raw::gpt2_tokenizer>, PhantomData<&'m Model>);

unsafe impl Send for Tokenizer<'_> {} // and so is a tokenizer
unsafe impl Sync for Tokenizer<'_> {}

impl<'m> Tokenizer<'m> {
    /// The ids of a text, with an encoder as large as this text may need.
    pub fn encode(&self, text: impl AsRef<[u8]>) -> Result<Vec<i32>> {
        let text = text.as_ref();
        let mut params = params(raw::gpt2_encoder_params_init);
        params.max_piece_bytes = text.len().max(1);
        let encoder = create(|line, size, encoder| {
            (params.errbuf, params.errbuf_size) = (line, size);
            unsafe { raw::gpt2_encoder_create(self.0.as_ptr(), &params, encoder) }
        })?;
        let (mut ids, mut n_ids) = (vec![0; 2 * text.len()], 0);
        let encoded = unsafe {
            let (from, to) = (text.as_ptr().cast(), ids.as_mut_ptr());
            let status = raw::gpt2_encode(
                encoder.as_ptr(),
                from,
                text.len(),
                0,
                to,
                ids.len(),
                &mut n_ids,
            );
            let result = check(
                status,
                CStr::from_ptr(raw::gpt2_encoder_error(encoder.as_ptr())),
            );
            raw::gpt2_encoder_free(encoder.as_ptr());
            result
        };
        ids.truncate(n_ids);
        encoded.map(|()| ids)
    }

    /// The bytes of one token, which need not be whole characters.
    pub fn bytes(&self, id: i32) -> Result<&'m [u8]> {
        let (mut bytes, mut n_bytes) = (ptr::null(), 0);
        let status = unsafe {
            raw::gpt2_tokenizer_token_bytes(self.0.as_ptr(), id, &mut bytes, &mut n_bytes)
        };
        check(status, c"")?;
        Ok(unsafe { std::slice::from_raw_parts(bytes.cast(), n_bytes) })
    }

    /// Where each token is in the text that all these tokens give together.
    pub fn offsets(&self, ids: &[i32]) -> Result<Vec<Offsets>> {
        let mut offsets = vec![raw::gpt2_offsets::default(); ids.len()];
        let status = unsafe {
            let to = offsets.as_mut_ptr();
            raw::gpt2_token_offsets(self.0.as_ptr(), ids.as_ptr(), ids.len(), to)
        };
        check(status, c"")?;
        let ranges = |raw: &raw::gpt2_offsets| Offsets {
            bytes: raw.first_byte..raw.end_byte,
            chars: raw.first_char..raw.end_char,
        };
        Ok(offsets.iter().map(ranges).collect())
    }

    /// The bytes of tokens: decode(encode(x)) == x for all x.
    pub fn decode(&self, ids: &[i32]) -> Result<Vec<u8>> {
        let (mut text, mut n_bytes, mut line) = (Vec::new(), 0, [0u8; 1024]);
        let mut status = raw::ERR_BUFFER;
        while status == raw::ERR_BUFFER {
            text.resize(n_bytes, 0); // n_bytes is what the call before wants
            status = unsafe {
                raw::gpt2_decode(
                    self.0.as_ptr(),
                    ids.as_ptr(),
                    ids.len(),
                    text.as_mut_ptr().cast(),
                    text.len(),
                    &mut n_bytes,
                    line.as_mut_ptr().cast(),
                    line.len(),
                )
            };
        }
        check(
            status,
            CStr::from_bytes_until_nul(&line).unwrap_or_default(),
        )?;
        Ok(text)
    }
}
