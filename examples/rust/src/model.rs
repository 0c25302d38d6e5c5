//! Models.
use crate::{check_buffer, create, params, raw, writing::write_to, Error, Result};
use std::ffi::{CStr, CString};
use std::sync::Arc;
use std::{borrow::Cow, fmt, io, path::Path, ptr, ptr::NonNull};

/// The type of weights in memory.
#[repr(i32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WeightType {
    /// That which each matrix has in the file.
    AsFile = raw::TYPE_AS_FILE,
    /// 32 bits a weight.
    F32 = raw::TYPE_F32,
    /// Half precision: half the memory of F32.
    F16 = raw::TYPE_F16,
    /// bfloat16: half the memory of F32.
    BF16 = raw::TYPE_BF16,
    /// 8 bits a weight, rounded while loading.
    Q8 = raw::TYPE_Q8,
    /// 4 bits a weight, rounded while loading; the token embeddings and the head have 8.
    Q4 = raw::TYPE_Q4,
}

/// How a model is loaded.
#[derive(Debug, Clone)]
pub struct ModelParams {
    /// The type of the weight matrices in memory.
    pub weight_type: WeightType,
    /// Threads that load; 0: one for each CPU.
    pub n_threads: i32,
    /// Whether to keep an 8-bit copy of an F32 head, for
    /// [`GeneratorParams::shortlist`](crate::GeneratorParams::shortlist).
    pub shortlist: bool,
}

impl Default for ModelParams {
    fn default() -> Self {
        ModelParams {
            weight_type: WeightType::AsFile,
            n_threads: 1,
            shortlist: false,
        }
    }
}

impl ModelParams {
    fn raw(&self, file_access: i32) -> raw::gpt2_model_params {
        let mut raw = params(raw::gpt2_model_params_init);
        raw.weight_type = self.weight_type as i32;
        raw.n_threads = self.n_threads;
        raw.shortlist = i32::from(self.shortlist);
        raw.file_access = file_access;
        raw
    }
}

/// The hyper-parameters of a model, and what it takes.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ModelInfo {
    /// The number of token ids.
    pub n_vocab: i32,
    /// The longest context.
    pub n_positions: i32,
    /// The width of an embedding.
    pub n_embd: i32,
    /// The number of blocks.
    pub n_layer: i32,
    /// The number of heads in each block.
    pub n_head: i32,
    /// The number of heads of keys and values: n_head, or 1 with multi-query attention.
    pub n_kv_head: i32,
    /// The width of the MLP.
    pub n_inner: i32,
    /// GPT2_ACT_* of `gpt2.h`.
    pub activation: i32,
    /// Whether lm_head is wte.
    pub tied_head: bool,
    /// GPT2_TYPE_* of wte in the file.
    pub weight_type: i32,
    /// GPT2_TYPE_* of the first block's matrices in memory.
    pub memory_type: i32,
    /// Bit t: some matrix in the file has GPT2_TYPE_* t.
    pub file_types: u32,
    /// The token that ends a text.
    pub eot_token: Option<i32>,
    /// What LayerNorm adds to a variance.
    pub layer_norm_epsilon: f32,
    /// Numbers in the weights; a tied head counts once.
    pub n_parameters: u64,
    /// Memory of the model without its tokenizer.
    pub memory_bytes: u64,
}

/// The library's model.  What is made of it keeps it.
pub(crate) struct Handle(NonNull<raw::gpt2_model>);

unsafe impl Send for Handle {} // a model is immutable
unsafe impl Sync for Handle {}

impl Drop for Handle {
    fn drop(&mut self) {
        unsafe { raw::gpt2_model_free(self.0.as_ptr()) }
    }
}

/// Weights, and the tokenizer where its files lie beside them.
///
/// A clone is the same model.  It is freed when no clone is left, and no session, generator or
/// tokenizer of it.
#[derive(Clone)]
pub struct Model(Arc<Handle>);

impl Model {
    /// Reads a Hugging Face directory, or another file that gpt2_model_load() reads.
    pub fn load(path: impl AsRef<Path>) -> Result<Model> {
        Model::load_with(path, &ModelParams::default())
    }

    /// [`load`](Model::load), with the weights of another type in memory, for example.
    pub fn load_with(path: impl AsRef<Path>, given: &ModelParams) -> Result<Model> {
        Model::open(path.as_ref(), given, raw::FILE_READ)
    }

    /// Opens a native file, which [`write`](Model::write) and `gpt2 convert` make, in milliseconds:
    /// the file is mapped.
    ///
    /// # Safety
    /// The file must not change or become shorter as long as the model is in memory: until its
    /// clones, and sessions, generators and tokenizers of it, are dropped.
    pub unsafe fn map(path: impl AsRef<Path>) -> Result<Model> {
        Model::open(path.as_ref(), &ModelParams::default(), raw::FILE_MAP)
    }

    fn open(path: &Path, given: &ModelParams, file_access: i32) -> Result<Model> {
        let (path, mut params) = (c_path(path)?, given.raw(file_access));
        create(|line, size, model| {
            (params.errbuf, params.errbuf_size) = (line, size);
            unsafe { raw::gpt2_model_load(path.as_ptr(), &params, model) }
        })
        .map(|model| Model(Arc::new(Handle(model))))
    }

    /// Loads a model from memory: pairs of a name, such as "config.json", and the file's bytes.
    /// They are borrowed for this call.  Shards come with "model.safetensors.index.json".
    pub fn from_sources(files: &[(&str, &[u8])], given: &ModelParams) -> Result<Model> {
        let names: Vec<CString> = files
            .iter()
            .map(|(name, _)| c_string(name, "file"))
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
        let mut params = given.raw(raw::FILE_READ);
        create(|line, size, model| {
            (params.errbuf, params.errbuf_size) = (line, size);
            unsafe { raw::gpt2_model_load_sources(sources.as_ptr(), sources.len(), &params, model) }
        })
        .map(|model| Model(Arc::new(Handle(model))))
    }

    pub(crate) fn as_ptr(&self) -> *mut raw::gpt2_model {
        self.0 .0.as_ptr()
    }

    /// Writes a file of the model, "native.safetensors" or another of gpt2_model_write()'s, in
    /// pieces, and does not flush.  Errors are as in [`Session::write`](crate::Session::write).
    pub fn write<W: io::Write>(&self, name: &str, writer: W) -> io::Result<()> {
        let c_name = c_string(name, "write")?;
        let mut line = [0u8; 1024];
        let status = write_to(writer, |write, user| unsafe {
            let (text, size) = (line.as_mut_ptr().cast(), line.len());
            raw::gpt2_model_write(self.as_ptr(), c_name.as_ptr(), write, user, text, size)
        })?;
        Ok(check_buffer(status, &line)?)
    }

    /// A weight as floats, row by row, and its shape, `[n, 1]` for a vector; names and shapes are
    /// Hugging Face's.
    ///
    /// ```
    /// let model = gpt2::Model::load("../demo-model")?;
    /// let (values, [n_vocab, n_embd]) = model.tensor("wte.weight")?;
    /// assert_eq!(values.len(), n_vocab * n_embd);
    /// # Ok::<(), gpt2::Error>(())
    /// ```
    pub fn tensor(&self, name: &str) -> Result<(Vec<f32>, [usize; 2])> {
        let c_name = c_string(name, "tensor")?;
        let (mut shape, mut line) = ([0i64; 2], [0u8; 1024]);
        let mut read = |values: *mut f32, n_values| {
            let status = unsafe {
                let (text, size) = (line.as_mut_ptr().cast(), line.len());
                let (name, shape) = (c_name.as_ptr(), shape.as_mut_ptr());
                raw::gpt2_model_tensor(self.as_ptr(), name, shape, values, n_values, text, size)
            };
            check_buffer(status, &line)?;
            Ok(shape.map(|n| n as usize))
        };
        let shape = read(ptr::null_mut(), 0)?;
        let mut values = vec![0.0; shape[0].saturating_mul(shape[1])];
        read(values.as_mut_ptr(), values.len())?;
        Ok((values, shape))
    }

    /// The hyper-parameters.
    pub fn info(&self) -> ModelInfo {
        let mut raw = params(raw::gpt2_model_info_init);
        let status = unsafe { raw::gpt2_model_get_info(self.as_ptr(), &mut raw) };
        assert_eq!(status, raw::OK);
        ModelInfo {
            n_vocab: raw.n_vocab,
            n_positions: raw.n_positions,
            n_embd: raw.n_embd,
            n_layer: raw.n_layer,
            n_head: raw.n_head,
            n_kv_head: raw.n_kv_head,
            n_inner: raw.n_inner,
            activation: raw.activation,
            tied_head: raw.tied_head != 0,
            weight_type: raw.weight_type,
            memory_type: raw.memory_type,
            file_types: raw.file_types,
            eot_token: (raw.eot_token >= 0).then_some(raw.eot_token),
            layer_norm_epsilon: raw.layer_norm_epsilon,
            n_parameters: raw.n_parameters,
            memory_bytes: raw.memory_bytes,
        }
    }

    /// Why the model has no tokenizer although its files have one; else "".
    pub fn tokenizer_error(&self) -> Cow<'_, str> {
        let line = unsafe { raw::gpt2_model_tokenizer_error(self.as_ptr()) };
        unsafe { CStr::from_ptr(line) }.to_string_lossy()
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_tuple("Model").field(&self.info()).finish()
    }
}

/// A string of C; an error names what it is for.
pub(crate) fn c_string(text: &str, what: &str) -> Result<CString> {
    CString::new(text).map_err(|error| Error::argument(format!("{what} {text:?}: {error}")))
}

pub(crate) fn c_path(path: &Path) -> Result<CString> {
    #[cfg(unix)]
    let bytes = Some(std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()));
    #[cfg(not(unix))]
    let bytes = path.to_str();
    let bytes = bytes.ok_or_else(|| Error::argument(format!("{path:?} is not Unicode")))?;
    CString::new(bytes).map_err(|error| Error::argument(format!("{}: {error}", path.display())))
}
