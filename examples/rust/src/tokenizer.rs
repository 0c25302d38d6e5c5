//! Text to token ids and back.
use crate::model::{c_path, Model};
use crate::{check, check_buffer, create, params, raw, status, Result};
use std::ffi::CStr;
use std::sync::Arc;
use std::{fmt, ops::Range, path::Path, ptr, ptr::NonNull, slice};

/// Where a token is in its text.  A character is a code point, or a byte at which no well-formed
/// UTF-8 begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offsets {
    /// Its bytes.
    pub bytes: Range<usize>,
    /// Its characters.  A token that has only a part of a character still counts that character.
    pub chars: Range<usize>,
}

/// A tokenizer that was loaded alone.
struct Handle(NonNull<raw::gpt2_tokenizer>);

unsafe impl Send for Handle {} // a tokenizer is immutable
unsafe impl Sync for Handle {}

impl Drop for Handle {
    fn drop(&mut self) {
        unsafe { raw::gpt2_tokenizer_free(self.0.as_ptr()) }
    }
}

/// Whose the library's tokenizer is.
#[derive(Clone)]
enum Owner {
    Model(Model),
    Itself(Arc<Handle>),
}

/// Turns text into token ids, and ids into text.  It keeps the model that it is of.
#[derive(Clone)]
pub struct Tokenizer(Owner);

impl Model {
    /// None if the model works on ids alone: [`tokenizer_error`](Model::tokenizer_error) may say
    /// why.
    pub fn tokenizer(&self) -> Option<Tokenizer> {
        let tokenizer = Tokenizer(Owner::Model(self.clone()));
        (!tokenizer.as_ptr().is_null()).then_some(tokenizer)
    }
}

impl Tokenizer {
    /// Reads a tokenizer without a model: the files in a Hugging Face directory, or a native file.
    pub fn load(path: impl AsRef<Path>) -> Result<Tokenizer> {
        let path = c_path(path.as_ref())?;
        let mut params = params(raw::gpt2_tokenizer_params_init);
        create(|line, size, tokenizer| {
            (params.errbuf, params.errbuf_size) = (line, size);
            unsafe { raw::gpt2_tokenizer_load(path.as_ptr(), &params, tokenizer) }
        })
        .map(|tokenizer| Tokenizer(Owner::Itself(Arc::new(Handle(tokenizer)))))
    }

    fn as_ptr(&self) -> *const raw::gpt2_tokenizer {
        match &self.0 {
            Owner::Model(model) => unsafe { raw::gpt2_model_tokenizer(model.as_ptr()) },
            Owner::Itself(handle) => handle.0.as_ptr(),
        }
    }

    /// One more than the largest token id.
    pub fn n_vocab(&self) -> i32 {
        unsafe { raw::gpt2_tokenizer_n_vocab(self.as_ptr()) }
    }

    /// The token that begins a text: bos_token of the files, else `<|endoftext|>`.
    pub fn bos(&self) -> Option<i32> {
        let id = unsafe { raw::gpt2_tokenizer_bos(self.as_ptr()) };
        (id >= 0).then_some(id)
    }

    /// The token that ends a text: eos_token of the files, else `<|endoftext|>`.
    pub fn eot(&self) -> Option<i32> {
        let id = unsafe { raw::gpt2_tokenizer_eot(self.as_ptr()) };
        (id >= 0).then_some(id)
    }

    /// Whether a token was added to those that merges make, such as `<|pad|>`.
    pub fn is_added(&self, id: i32) -> bool {
        unsafe { raw::gpt2_tokenizer_is_added(self.as_ptr(), id) != 0 }
    }

    /// The ids of a text.  `<|endoftext|>` in it is text like any other.
    pub fn encode(&self, text: impl AsRef<[u8]>) -> Result<Vec<i32>> {
        self.encode_as(text.as_ref(), 0)
    }

    /// The ids of a text in which `<|endoftext|>` and other special tokens are those tokens.  Not for
    /// text that nobody has checked.
    pub fn encode_special(&self, text: impl AsRef<[u8]>) -> Result<Vec<i32>> {
        self.encode_as(text.as_ref(), raw::ENCODE_SPECIAL)
    }

    /// Encodes with an encoder as large as this text may need.
    fn encode_as(&self, text: &[u8], flags: u32) -> Result<Vec<i32>> {
        let (mut ids, mut n_ids) = (vec![0; 2 * text.len()], 0);
        let mut params = params(raw::gpt2_encoder_params_init);
        params.max_piece_bytes = text.len().max(1);
        let encoder = create(|line, size, encoder| {
            (params.errbuf, params.errbuf_size) = (line, size);
            unsafe { raw::gpt2_encoder_create(self.as_ptr(), &params, encoder) }
        })?
        .as_ptr();
        let encoded = unsafe {
            let (from, to) = (text.as_ptr().cast(), ids.as_mut_ptr());
            let (n, capacity) = (text.len(), ids.len());
            let status = raw::gpt2_encode(encoder, from, n, flags, to, capacity, &mut n_ids);
            let encoded = check(status, CStr::from_ptr(raw::gpt2_encoder_error(encoder)));
            raw::gpt2_encoder_free(encoder);
            encoded
        };
        ids.truncate(n_ids);
        encoded.map(|()| ids)
    }

    /// The bytes of one token, which need not be whole characters.
    pub fn bytes(&self, id: i32) -> Result<&[u8]> {
        let (mut bytes, mut n_bytes) = (ptr::null(), 0);
        let status =
            unsafe { raw::gpt2_tokenizer_token_bytes(self.as_ptr(), id, &mut bytes, &mut n_bytes) };
        check(status, c"")?;
        Ok(unsafe { slice::from_raw_parts(bytes.cast(), n_bytes) })
    }

    /// Where each token is in the text that all these tokens give together.
    pub fn offsets(&self, ids: &[i32]) -> Result<Vec<Offsets>> {
        let mut offsets = vec![raw::gpt2_offsets::default(); ids.len()];
        let status = unsafe {
            let to = offsets.as_mut_ptr();
            raw::gpt2_token_offsets(self.as_ptr(), ids.as_ptr(), ids.len(), to)
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
        let mut status = status::BUFFER;
        while status == status::BUFFER {
            text.resize(n_bytes, 0); // n_bytes is what the call before wants
            status = unsafe {
                raw::gpt2_decode(
                    self.as_ptr(),
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
        check_buffer(status, &line)?;
        Ok(text)
    }
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Tokenizer")
            .field("n_vocab", &self.n_vocab())
            .finish_non_exhaustive()
    }
}
